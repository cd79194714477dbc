"""Texts read by their form: the kernel's beside the reference's."""

import random
from typing import Any

import pytest

import splitcore
from splitcore import SplitError, reference_forms
from splitcore.reference_forms import TextForm as Reference

DIGITS = (b"0123456789", 1, 3)
PLAIN: Any = ([b"<", b">"], [[DIGITS]], [(0, "n")], [])
ALPHABETS = (b"01", b"0123456789", b"abc", b"ab01*", b"", b"*-^]\\", b"\x00\n")


def some_form(dice: random.Random) -> tuple[Any, ...]:
    places = dice.randint(0, 5)
    pieces = [dice.choice((b"", b"a", b"0", b'","', b"*\n")) for _ in range(places + 1)]
    runs = [
        [
            (dice.choice(ALPHABETS), least := dice.randint(0, 2), least + dice.randint(0, 3))
            for _ in range(dice.randint(1, 3))
        ]
        for _ in range(places)
    ]
    chosen = [(dice.randrange(places), dice.choice("btn")) for _ in range(3) if places]
    written = []
    for _ in range(dice.randint(0, 2)):
        at = [dice.randrange(places) for _ in range(dice.randint(0, 4)) if places]
        written.append(([dice.randbytes(dice.randint(0, 4)) for _ in range(len(at) + 1)], at))
    return pieces, runs, chosen, written


def text_of(dice: random.Random, form: tuple[Any, ...]) -> bytes:
    """Nearly of the form, or quite."""
    pieces, runs, _, _ = form
    text = bytearray(pieces[0])
    for value, piece in zip(runs, pieces[1:], strict=True):
        for alphabet, least, most in value:
            count = dice.randint(least, most) + (dice.random() < 0.05)
            text += bytes(dice.choice(alphabet) for _ in range(count) if alphabet)
        text += piece
    if dice.random() < 0.2:
        text.insert(dice.randint(0, len(text)), dice.choice(b"a0*\xff"))
    if text and dice.random() < 0.1:
        del text[dice.randrange(len(text))]
    return bytes(text)


@pytest.mark.parametrize("seed", range(200))
def test_texts_are_read_as_the_reference_reads_them(seed: int) -> None:
    dice = random.Random(seed)
    form = some_form(dice)
    kernel, reference = splitcore.TextForm(*form), Reference(*form)
    for _ in range(40):
        text = text_of(dice, form)
        assert kernel.read(text) == reference.read(text), (form, text)
        place, spelt = dice.randint(-2, 6), dice.choice((b"", b"7", b"zz", b"1" * 18, b"1" * 19))
        assert kernel.read(text, place, spelt) == reference.read(text, place, spelt)


@pytest.mark.parametrize("kind", [splitcore.TextForm, Reference])
def test_a_run_takes_all_it_may_and_gives_nothing_back(kind: type[Reference]) -> None:
    form = kind([b"", b"1"], [[(b"1", 1, 3)]], [(0, "b")], [])
    assert form.read(b"111") is None
    assert form.read(b"1111") == (b"111",)


@pytest.mark.parametrize("kind", [splitcore.TextForm, Reference])
def test_a_number_has_digits_alone_and_no_more_than_fit(kind: type[Reference]) -> None:
    form = kind([b"", b""], [[(b"0123456789-", 0, 30)]], [(0, "n")], [])
    assert form.read(b"9" * 18) == (10**18 - 1,)
    assert [form.read(text) for text in (b"", b"9" * 19, b"-1", b"1-")] == [None] * 4


@pytest.mark.parametrize("kind", [splitcore.TextForm, Reference])
@pytest.mark.parametrize(
    "told",
    [
        ([b"<"], [[DIGITS]], [], []),
        ([b"<", ">"], [[DIGITS]], [], []),
        ([b"<", b">"], [[]], [], []),
        ([b"<", b">"], [[(b"\xff", 0, 1)]], [], []),
        ([b"<", b">"], [[("1", 0, 1)]], [], []),
        ([b"<", b">"], [[(b"1", 2, 1)]], [], []),
        ([b"<", b">"], [[(b"1", -1, 1)]], [], []),
        ([b"<", b">"], [[(b"1", 0, 2**31)]], [], []),
        ([b"<", b">"], [[(b"1", True, 1)]], [], []),
        ([b"<", b">"], [[DIGITS]], [(1, "n")], []),
        ([b"<", b">"], [[DIGITS]], [(-1, "n")], []),
        ([b"<", b">"], [[DIGITS]], [(True, "n")], []),
        ([b"<", b">"], [[DIGITS]], [(0, "x")], []),
        ([b"<", b">"], [[DIGITS]], [(0, b"n")], []),
        ([b"<", b">"], [[DIGITS]], [], [([b""], [0])]),
        ([b"<", b">"], [[DIGITS]], [], [([b"", ""], [0])]),
        ([b"<", b">"], [[DIGITS]], [], [([b"", b""], [1])]),
        (
            [b""] * (reference_forms.PLACES_MAX + 2),
            [[DIGITS]] * (reference_forms.PLACES_MAX + 1),
            [],
            [],
        ),
    ],
)
def test_what_is_no_form_is_refused(kind: type[Reference], told: Any) -> None:
    with pytest.raises(SplitError, match="malformed"):
        kind(*told)


def test_a_form_that_was_never_made_reads_nothing() -> None:
    with pytest.raises(TypeError):
        splitcore.TextForm.__new__(splitcore.TextForm).read(b"")


def test_a_form_that_could_not_be_made_reads_nothing() -> None:
    form = splitcore.TextForm.__new__(splitcore.TextForm)
    with pytest.raises(SplitError):
        form.__init__([b"<", b">"], [[DIGITS, (b"1", 2, 1)]], [], [])
    with pytest.raises(TypeError):
        form.read(b"<1>")


def test_a_form_is_made_once() -> None:
    form = splitcore.TextForm(*PLAIN)
    with pytest.raises(TypeError):
        form.__init__(*PLAIN)
    assert form.read(b"<15>") == (15,)
