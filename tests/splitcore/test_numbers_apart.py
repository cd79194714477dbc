"""Whole numbers taken out of JSON text: what is left tells all of the text but those numbers."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import splitcore
import splitcore._kernel as kernel
from splitcore import AMOUNT_MAX, reference_texts, unpack
from splitcore.limits import TEXT_BYTES_MAX, TEXT_NUMBERS_MAX
from tests.splitcore.drawn import CASES, QUIET

KEY = b"who"
Apart = tuple[bytes, bytes, list[int]]


def apart(text: bytes) -> Apart | None:
    found = splitcore.numbers_apart(text, KEY)
    return None if found is None else (found[0], found[1], unpack(found[2]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"who":"A","due":15}', (b'{"who":"","due":0}', b"A", [15])),
        (b'{"due": 15, "who" :\t"A"}', (b'{"due": 0, "who" :\t""}', b"A", [15])),
        (b'{"who":"","n":[0,1,20]}', (b'{"who":"","n":[0,0,0]}', b"", [0, 1, 20])),
        # Digits of strings, and of what cannot be JSON, stay where they are.
        (b'{"who":"7","at":"2026-10","n":null}', (b'{"who":"","at":"2026-10","n":null}', b"7", [])),
        (b'{"who":"7","n":true1}x', (b'{"who":"","n":true0}x', b"7", [1])),
        # A second string of that name is a part of the rest.
        (b'{"who":"A","who":"B"}', (b'{"who":"","who":"B"}', b"A", [])),
        ('{"who":"Ж","кто":1}'.encode(), ('{"who":"","кто":0}'.encode(), "Ж".encode(), [1])),
        (b'{"who":"A","n":10000000000000}', (b'{"who":"","n":0}', b"A", [AMOUNT_MAX])),
    ],
)
def test_what_is_left(text: bytes, expected: Apart) -> None:
    assert apart(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"{}", b"12", b'{"whom":"A","due":15}', b'{"due":"who"}', b'["who","A"]'),
        *(b'{"who":15}', b'{"who":', b'{"who":"', b'{"who":"A', b'{"who":"A","due', b'{"who" "A"}'),
        *(b'{"who":"A\\"","due":1}', b'{"who":"A","\\u0064ue":1}'),
        *(b'{"who":"A","n":-1}', b'{"who":"A","n":1.0}', b'{"who":"A","n":1e5}'),
        *(b'{"who":"A","n":1E5}', b'{"who":"A","n":.5}', b'{"who":"A","n":+5}'),
        *(b'{"who":"A","n":01}', b'{"who":"A","n":00}', b'{"who":"A","n":10000000000001}'),
        b'{"who":"A","n":' + b"9" * 5_000 + b"}",
        b'{"who":"A","n":"' + b"x" * TEXT_BYTES_MAX + b'"}',
        b'{"who":"A","n":[' + b",".join([b"1"] * (TEXT_NUMBERS_MAX + 1)) + b"]}",
    ],
)
def test_what_is_not_plain_is_left_to_a_stricter_reader(text: bytes) -> None:
    assert apart(text) is None


def test_as_much_as_the_limits_allow() -> None:
    many = b'{"who":"A","n":[' + b",".join([b"7"] * TEXT_NUMBERS_MAX) + b"]}"
    found = apart(many)
    assert found is not None
    assert found[2] == [7] * TEXT_NUMBERS_MAX
    long = b'{"who":"A"' + b" " * (TEXT_BYTES_MAX - 11) + b"}"
    assert (len(long), apart(long) is None) == (TEXT_BYTES_MAX, False)


def expect_compared(test: Callable[[], None], counted: list[int], least: int) -> None:
    test()
    assert sum(counted) >= least, f"expected {least} texts told apart, was {sum(counted)}"


@pytest.mark.hypothesis
def test_the_kernel_takes_apart_what_the_reference_does() -> None:
    counted: list[int] = []
    pieces = st.sampled_from(
        [*b'"{}[]:,\\-+.eE 0159x\t\n', *(b'"who"', b'"who":"', b'":', b"10000000000000", b'"a":')]
    )

    @settings(QUIET, max_examples=max(500, CASES // 100))
    @given(st.lists(pieces, max_size=40), st.binary(max_size=8))
    def compare(drawn: list[Any], tail: bytes) -> None:
        text = b"".join(piece if isinstance(piece, bytes) else bytes([piece]) for piece in drawn)
        for one in (text, b'{"who":"A",' + text, text + tail, b'{"who":"A",' + text + tail):
            ours = kernel.numbers_apart(one, KEY)
            assert ours == reference_texts.numbers_apart(one, KEY), one
            counted.append(ours is not None)

    expect_compared(compare, counted, 100)


@pytest.mark.hypothesis
def test_texts_that_leave_the_same_differ_in_those_numbers_alone() -> None:
    """Put back into what is left, the numbers and the string make the text again."""
    counted: list[int] = []
    values = st.recursive(
        st.one_of(st.integers(0, AMOUNT_MAX), st.none(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=4)
        ),
        max_leaves=12,
    )

    @settings(QUIET, max_examples=max(500, CASES // 100))
    @given(values, st.text(max_size=4), st.booleans())
    def put_back(value: object, who: str, spaced: bool) -> None:
        text = json.dumps(
            {"who": who, "value": value},
            ensure_ascii=False,
            separators=None if spaced else (",", ":"),
        ).encode()
        found = splitcore.numbers_apart(text, KEY)
        counted.append(found is not None)
        if found is None:
            assert b"\\" in text
            return
        numbers = iter(unpack(found[2]))

        def again(left: Any) -> Any:
            if isinstance(left, dict):
                return {key: again(inner) for key, inner in left.items()}
            if isinstance(left, list):
                return [again(inner) for inner in left]
            return next(numbers) if isinstance(left, int) else left

        rest = json.loads(found[0])
        assert rest["who"] == ""
        assert again(rest) | {"who": found[1].decode()} == json.loads(text)
        assert next(numbers, None) is None

    expect_compared(put_back, counted, 100)
