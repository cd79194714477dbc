"""Values written into a text: the kernel's templates and sentences beside the reference's."""

import random
from typing import Any

import pytest

import splitcore
from splitcore import SplitError, reference_template
from splitcore.reference_template import Template as Reference

NUMBERS = (0, 1, 9, 10, 99, 100, 10**13, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 2)


@pytest.mark.parametrize("seed", range(50))
def test_templates_are_filled_as_the_reference_fills_them(seed: int) -> None:
    dice = random.Random(seed)
    rows, width = dice.randint(0, 20), dice.randint(1, 4)
    pieces = [dice.randbytes(dice.randint(0, 30)) for _ in range(rows * width + 1)]
    columns = [
        tuple(dice.choice((dice.choice(NUMBERS), dice.randint(0, 10**6))) for _ in range(rows))
        for _ in range(width)
    ]
    assert splitcore.Template(pieces).filled(*columns) == Reference(pieces).filled(*columns)


@pytest.mark.parametrize("kind", [splitcore.Template, Reference])
@pytest.mark.parametrize(
    ("places", "columns"),
    [
        (2, ((1,),)),
        (2, ((1, 2, 3),)),
        (2, ()),
        (0, ((1,),)),
        (2, ((1,), (2, 3))),
        (1, ([1],)),
        (1, ((-1,),)),
        (1, ((2**63 - 1,),)),
        (1, ((2**70,),)),
        (1, ((True,),)),
        (1, ((1.0,),)),
        (1, (("1",),)),
    ],
)
def test_what_does_not_fill_a_template_is_refused(
    kind: type[Reference], places: int, columns: tuple[tuple[int, ...], ...]
) -> None:
    template = kind([b"-"] * (places + 1))
    with pytest.raises(SplitError, match="malformed"):
        template.filled(*columns)


@pytest.mark.parametrize("kind", [splitcore.Template, Reference])
@pytest.mark.parametrize("pieces", [[], ["text"], [b"", None]])
def test_what_is_no_template_is_refused(kind: type[Reference], pieces: list[bytes]) -> None:
    with pytest.raises(SplitError, match="malformed"):
        kind(pieces)


def test_a_template_that_was_never_made_fills_nothing() -> None:
    kind = splitcore.Template
    with pytest.raises((TypeError, AttributeError)):
        kind.__new__(kind).filled()


DOORS: tuple[Any, ...] = (splitcore, reference_template)
TEXTS = ("", "22-01/7", "Содержание ☃ 😀", 'say "hi"', "back\\slash", "tab\t", "\x7f", "a" * 300)


def value_of(kind: str, dice: random.Random, door: Any) -> object:
    """A value that is good for a kind, edges among them."""
    number = dice.choice((dice.choice(NUMBERS), dice.randint(0, 10**6)))
    match kind:
        case "n":
            return number
        case "l":
            return tuple(dice.choice(NUMBERS) for _ in range(dice.choice((0, 1, 9))))
        case "t":
            return dice.choice(TEXTS[:3] if dice.random() < 0.9 else TEXTS)
        case "f":
            rows = dice.randint(0, 9)
            return door.Template([b"."] * (2 * rows + 1)), (number,) * rows, (7,) * rows
        case _:
            return dice.randbytes(dice.choice((0, 1, 16, 300)))


@pytest.mark.parametrize("seed", range(200))
def test_sentences_are_filled_as_the_reference_fills_them(seed: int) -> None:
    said = []
    for door in DOORS:
        dice = random.Random(seed)
        kinds = "".join(dice.choice("nlbtxf") for _ in range(dice.randint(0, 20)))
        pieces = [dice.randbytes(dice.choice((0, 1, 30, 400))) for _ in range(len(kinds) + 1)]
        sentence = door.Sentence(pieces, kinds)
        said.append([
            sentence.filled(tuple(value_of(kind, dice, door) for kind in kinds)) for _ in range(5)
        ])  # fmt: skip
    assert said[0] == said[1]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("text", "safe"), [*((t, True) for t in TEXTS[:3]), *(
    (t, False) for t in TEXTS[3:6]), (TEXTS[6], True), ("\0", False)])  # fmt: skip
def test_what_json_would_escape_is_not_written(door: Any, text: str, safe: bool) -> None:
    written = door.Sentence([b'"', b'"'], "t").filled((text,))
    assert written == (f'"{text}"'.encode() if safe else None)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        *(("n", bad) for bad in (None, -1, 2**63 - 1, 2**70, True, 1.0, "1")),
        *(("l", bad) for bad in (None, [1], (1, -1), (True,), 1)),
        *(("b", bad) for bad in (None, "text", bytearray(b"1"), 1)),
        *(("t", bad) for bad in (None, b"bytes", 1)),
        *(("x", bad) for bad in (None, "00", 1)),
        *(("f", bad) for bad in (None, (), (1,), [1], (b"", (1,)))),
    ],
)
def test_values_of_another_kind_are_refused(door: Any, kind: str, bad: object) -> None:
    with pytest.raises(SplitError, match="malformed"):
        door.Sentence([b"", b""], kind).filled((bad,))


@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_sentence_is_refused(door: Any) -> None:
    for pieces, kinds in (
        ([], ""),
        ([b""], "n"),
        ([b"", b""], "z"),
        ([b"", ""], "n"),
        ([b""], b""),
    ):
        with pytest.raises(SplitError, match="malformed"):
            door.Sentence(pieces, kinds)
    for values in ((), (1, 2), [1]):
        with pytest.raises(SplitError, match="malformed"):
            door.Sentence([b"", b""], "n").filled(values)


def test_a_sentence_that_was_never_made_fills_nothing() -> None:
    kind = splitcore.Sentence
    with pytest.raises((TypeError, AttributeError)):
        kind.__new__(kind).filled(())
