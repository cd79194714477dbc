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

NAMES = (b"who", b"more")
Apart = tuple[bytes, bytes, list[int]]


def apart(text: bytes) -> Apart | None:
    found = splitcore.numbers_apart(text, *NAMES)
    return None if found is None else (found[0], found[1], unpack(found[3]))


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


@pytest.mark.parametrize(
    ("value", "laid"),
    [
        *((b"{}", b"{}"), (b'""', b'""'), (b'{"n":1,"o":{"p":[2]}}', b'{"n":1,"o":{"p":[2]}}')),
        # Only here may a string have escapes, and braces or quotes behind them.
        (b'"\\"}\\\\"', b'"\\"}\\\\"'),
        (b'{"a\\"{":"}\\u007d"}', b'{"a\\"{":"}\\u007d"}'),
        # Whether it is JSON is not looked at, only where it ends.
        (b"{1]}", b"{1]}"),
        *((b"null", None), (b"[7]", None), (b"7", None), (b"", None)),
    ],
)
def test_what_is_laid_aside(value: bytes, laid: bytes | None) -> None:
    left = b"{}" if laid is not None else value.replace(b"7", b"0")
    for text, rest in (
        (b'{"more":%b,"who":"A","n":5}', b'{"more":%b,"who":"","n":0}'),
        (b'{"who":"A","n":5,"more" : %b }', b'{"who":"","n":0,"more" : %b }'),
    ):
        found = splitcore.numbers_apart(text % value, *NAMES)
        assert found is not None
        assert found[:3] == (rest % left, b"A", laid)
        assert 5 in unpack(found[3])


@pytest.mark.parametrize("value", [b'{"n":1', b'"x', b'{"n":"}', b'"x\\', b'"x\\"', b'{"a":{}'])
def test_what_does_not_end_cannot_be_laid_aside(value: bytes) -> None:
    assert apart(b'{"who":"A","more":' + value) is None


def test_only_the_first_value_of_that_name_is_laid_aside() -> None:
    text = b'{"who":"more","more":{"more":1},"more":{"n":2}}'
    found = splitcore.numbers_apart(text, *NAMES)
    assert found == (
        b'{"who":"","more":{},"more":{"n":0}}',
        b"more",
        b'{"more":1}',
        splitcore.pack([2]),
    )


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
    drawn_from = (
        *b'"{}[]:,\\-+.eE 0159x\t\n',
        *(b'"who"', b'"who":"', b'":', b"10000000000000", b'"a":'),
        *(b'"more":', b'"more":{', b'"more":"', b"\\", b'\\"', b"}", b'"'),
    )
    pieces = st.sampled_from(drawn_from)

    @settings(QUIET, max_examples=max(500, CASES // 100))
    @given(st.lists(pieces, max_size=40), st.binary(max_size=8))
    def compare(drawn: list[Any], tail: bytes) -> None:
        text = b"".join(piece if isinstance(piece, bytes) else bytes([piece]) for piece in drawn)
        named = b'{"who":"A",' + text
        for one in (text, named, named + tail, b'{"who":"A","more":{"b":' + text):
            ours = kernel.numbers_apart(one, *NAMES)
            assert ours == reference_texts.numbers_apart(one, *NAMES), one
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
    @given(values, values, st.text(max_size=4), st.booleans())
    def put_back(value: object, more: object, who: str, spaced: bool) -> None:
        text = json.dumps(
            {"who": who, "value": value, "more": more},
            ensure_ascii=False,
            separators=None if spaced else (",", ":"),
        ).encode()
        found = splitcore.numbers_apart(text, *NAMES)
        counted.append(found is not None)
        if found is None:
            assert b"\\" in text
            return
        left, named, laid, packed = found
        assert (laid is None) == (not isinstance(more, dict | str))
        if laid is not None:
            assert json.loads(laid) == more
        numbers = iter(unpack(packed))

        def again(left: Any) -> Any:
            if isinstance(left, dict):
                return {key: again(inner) for key, inner in left.items()}
            if isinstance(left, list):
                return [again(inner) for inner in left]
            return next(numbers) if isinstance(left, int) else left

        rest = again(json.loads(left))
        assert rest["who"] == ""
        whole = json.loads(text)
        # A value of that name inside of `value` came first.
        told = rest | {"who": named.decode()} | ({} if laid is None else {"more": more})
        assert told == whole
        assert next(numbers, None) is None

    expect_compared(put_back, counted, 100)
