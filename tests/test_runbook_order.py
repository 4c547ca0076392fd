from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.runbook.order import MAX_EDGES, Ordered, TooManyEdges, ancestors, bridged, cycles, order, topological

widths = st.lists(st.integers(1, 4), min_size=1, max_size=8)


@st.composite
def written(draw: st.DrawFn) -> list[list[Ordered]]:
    """Blocks in which some steps name earlier steps, or items of their own block, as their needs."""
    blocks: list[list[Ordered]] = []
    known: list[str] = []
    for block, width in enumerate(draw(widths)):
        here: list[Ordered] = []
        for item in range(width):
            name = f"b{block}i{item}"
            earlier = known + [one.id for one in here]
            chosen = draw(st.none() | st.lists(st.sampled_from(earlier), max_size=3)) if earlier else None
            here.append(Ordered(name, None if chosen is None else tuple(chosen)))
        known += [one.id for one in here]
        blocks.append(here)
    return blocks


@given(widths)
def test_without_needs_a_step_waits_for_everything_above_its_block_and_nothing_in_it(sizes: list[int]) -> None:
    blocks = [[Ordered(f"b{block}i{item}") for item in range(width)] for block, width in enumerate(sizes)]
    needs = order(blocks)
    above: set[str] = set()
    for number, block in enumerate(blocks):
        for step in block:
            assert ancestors(needs, step.id) == above
            assert set(needs[step.id]) == ({one.id for one in blocks[number - 1]} if number else set())
        above |= {step.id for step in block}


@given(written())
def test_needs_replace_the_rule_and_a_default_step_still_waits_for_all_above(blocks: list[list[Ordered]]) -> None:
    needs = order(blocks)
    above: set[str] = set()
    for block in blocks:
        for step in block:
            if step.needs is None:
                assert ancestors(needs, step.id) == above
            else:
                assert set(needs[step.id]) == set(step.needs)
        above |= {step.id for step in block}


@given(written())
def test_the_default_waits_for_sinks_only(blocks: list[list[Ordered]]) -> None:
    needs = order(blocks)
    for block in blocks:
        for step in block:
            if step.needs is None:
                assert not any(one in ancestors(needs, other) for one in needs[step.id] for other in needs[step.id])


@given(written())
def test_what_needs_only_what_stands_above_has_no_circle_and_all_of_it_can_run(blocks: list[list[Ordered]]) -> None:
    needs = order(blocks)
    run, stuck = topological(needs)
    assert not stuck
    assert cycles(needs) == []
    assert all(run.index(need) < run.index(step) for step, of in needs.items() for need in of)


@given(written(), st.data())
def test_leaving_steps_out_keeps_the_order_of_the_others(blocks: list[list[Ordered]], data: st.DataObject) -> None:
    needs = order(blocks)
    out = set(data.draw(st.lists(st.sampled_from(sorted(needs)), unique=True)))
    left = bridged(needs, out)
    assert set(left) == set(needs) - out
    for step in left:
        assert ancestors(left, step) == ancestors(needs, step) - out


graphs = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), unique=True, max_size=3))


@given(graphs)
def test_every_circle_found_is_one_and_none_is_missed(graph: dict[str, list[str]]) -> None:
    needs = {step: tuple(need for need in of if need in graph) for step, of in graph.items()}
    found = cycles(needs)
    for ring in found:
        assert ring[0] == ring[-1]
        assert all(after in needs[step] for step, after in pairwise(ring))
    assert bool(found) == any(step in ancestors(needs, step) for step in needs)


def test_two_blocks_too_wide_to_follow_each_other_are_refused() -> None:
    wide = int(MAX_EDGES**0.5) + 1
    with pytest.raises(TooManyEdges):
        order([[Ordered(f"{block}-{item}") for item in range(wide)] for block in range(2)])
