"""Events as text on disk: whatever an answer held, its event is written and read again."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from drills.clock import Stamp
from drills.engine.plan import Plan
from drills.report.printable import harmless
from drills.runtime.journal import Journal
from drills.testing import plan, step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.facts import Facts, Json

AT = Stamp(1, 1, "here/boot")
ANY_TEXT = st.text(st.characters(exclude_categories=()))  # halves of surrogate pairs too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.text(st.characters(exclude_categories=("Cs",))), JSON)
def test_an_event_is_read_as_it_was_written(detail: str, value: Json) -> None:
    body = ev.Ended("a", ev.Outcome.DONE, detail, Facts(x=value))
    back = codec.load_event(codec.dump_event(1, AT, body)).body
    assert isinstance(back, ev.Ended)
    assert back.detail == detail
    assert codec.dump(back) == codec.dump(body)


def test_half_a_letter_in_an_answer_keeps_no_drill_from_going_on(tmp_path: Path) -> None:
    pinned: Plan = plan(step("a"))
    bodies = (
        ev.Opened("drill", "0", "ana", codec.dump(pinned)),
        ev.Ended("a", ev.Outcome.FAILED, "no such table: or\ud83dders", Facts(x={"\udc00": ["\ud83d", "😀"]})),
    )
    with Journal.create(tmp_path / "drill") as journal:
        journal.append([ev.Event(number, AT, body) for number, body in enumerate(bodies, 1)])
        _, ended = journal.read()
    assert ended.body == ev.Ended(
        "a", ev.Outcome.FAILED, "no such table: or\ufffdders", Facts(x={"\ufffd": ["\ufffd", "😀"]})
    )
    assert harmless("or\ud83dders").encode() == rb"or\ud83dders"
