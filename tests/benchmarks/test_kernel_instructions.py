"""The kernel's instructions a payment are pinned: a regression fails on a noisy machine too."""

import pytest

from splitcore import _kernel
from tests.benchmarks import instructions
from tests.benchmarks.instructions import Count, counted, off_pins, part_count, pinned

needs_valgrind = pytest.mark.skipif(
    not instructions.countable(), reason=f"NOT CHECKED, as {instructions.WANTED}"
)
PINS = pinned()
ALIKE = (PINS["compiler"], PINS["python"]) == (instructions.compiler(), instructions.python())


@needs_valgrind
def test_instructions_are_as_pinned() -> None:
    found = counted()
    of_each = {name.partition(" ")[2] for name in PINS["part"]}
    lanes = sorted({2, _kernel.LANES})
    assert found.keys() == {f"{width} {part}" for width in lanes for part in of_each}
    off = off_pins(found, PINS, ALIKE)
    assert not off, "\n".join(["Pins are in tests/benchmarks/kernel_instructions.toml:", *off])


@needs_valgrind
def test_added_work_is_found() -> None:
    margin = PINS["margin_percent" if ALIKE else "margin_wide_percent"]
    # As much more than the margin as this machine's own count may lie below the pin.
    again = 10 * (2 * margin + 1)
    off = off_pins(counted(again), PINS, ALIKE)
    found = {line.partition(",")[0] for line in off if ", kernel:" in line}
    assert found == {name for name in PINS["part"] if int(name[0]) <= _kernel.LANES}


def test_pins_are_compared_with_their_margin() -> None:
    pins = {
        "margin_percent": 3,
        "margin_wide_percent": 25,
        "part": {"4 batch": {"kernel": 100, "all": 200}},
    }

    def off(kernel: float, in_all: float, alike: bool = True) -> list[str]:
        return off_pins({"4 batch": Count(kernel, in_all)}, pins, alike)

    assert off(103, 250) == off(97, 100) == off(125, 250, alike=False) == off(50, 100, False) == []
    assert off(104, 200) == [
        "4 batch, kernel: expected 100 instructions a payment, was 104 (+4.0 %)"
    ]
    assert off(96, 200) == ["4 batch, kernel: expected 100 instructions a payment, was 96 (-4.0 %)"]
    assert len(off(126, 251, alike=False)) == 2


def test_what_a_function_called_took_is_not_its_own() -> None:
    name = _kernel.__file__.rpartition("/")[2]
    dump = f"""
desc: Trigger: Client Request: 4 batch
ob=/lib/{name}
fn=split_flat
12 3000
cob=/lib/libc.so.6
cfn=memcpy
calls=7 0
13 500000
14 4000

ob=/lib/libc.so.6
fn=memcpy
0 500000
totals: 507000
"""
    assert part_count(dump) == ("4 batch", Count(kernel=7.0, all=507.0))
