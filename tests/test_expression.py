"""JMESPath: what can be asked of an answer, and that nothing else than its own error comes out of it."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jmespath.functions import Functions

from drills import expression

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
FUNCTIONS = sorted(Functions.FUNCTION_TABLE)
PARTS = st.sampled_from(
    ["a", "b", "@", "`1`", "`null`", '`"x"`', "'x'", "a[0]", "a[]", "a[*].b", "a[?b > `1`]", "&a", "*", "9" * 5000]
)


def joined(words: tuple[str, ...]) -> str:
    """Write words one after the other."""
    return "".join(words)


def called(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Give calls, comparisons and pipes of what stands inside."""
    given_ = st.lists(inner, max_size=3).map(", ".join)
    call = st.tuples(st.sampled_from(FUNCTIONS), st.just("("), given_, st.just(")")).map(joined)
    return call | st.tuples(inner, st.sampled_from([" == ", " < ", " && ", " | ", " || "]), inner).map(joined)


@given(st.recursive(PARTS, called, max_leaves=6) | st.text(max_size=20), JSON)
def test_whatever_is_asked_of_whatever_came_an_answer_or_unfit_comes_out(asked: str, came: object) -> None:
    wrong = expression.problem(asked)
    with suppress(expression.Unfit):
        expression.search(asked, came)
        assert wrong == "", "what is no expression is never carried out"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("length(", "Incomplete expression"),
        ("9" * 5000, "4300 digits"),
        ("(" * 900 + "a" + ")" * 900, "nested too deep"),
        ("!" * 5000 + "a", "nested too deep"),
        ("!steps.lag.output.ok", r"write !\(a.b\)"),
        ("a[?!b.c] | [0]", r"write !\(a.b\)"),
        ("!steps.*.adopted", r"write !\(a.b\)"),
        ("!a[?b]", r"write !\(a.b\)"),
    ],
)
def test_what_is_no_expression_is_told_in_a_few_words(asked: str, why: str) -> None:
    assert re.search(why, expression.problem(asked))
    with pytest.raises(expression.Unfit, match=why):
        expression.search(asked, {})


def test_a_no_is_asked_of_what_stands_in_brackets() -> None:
    assert expression.search("!(a.b)", {"a": {"b": False}}) is True
    assert expression.search("!a[0] || a", {"a": [1]}) == [1]
    assert expression.search("!a.not_null(@)", {"a": {}}) is True


def test_an_answer_that_does_not_fit_is_told() -> None:
    assert expression.search("a.b", {"a": {"b": [1]}}) == [1]
    with pytest.raises(expression.Unfit, match="invalid type for value: 3"):
        expression.search("length(a)", {"a": 3})
