"""Numbers written into a text: the kernel's templates beside the reference's."""

import random

import pytest

import splitcore
from splitcore import SplitError
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
