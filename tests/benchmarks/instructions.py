"""Instructions a payment of counted_payments.py, as callgrind counts them: the same on a busy
machine as on an idle one. `python -m tests.benchmarks.instructions` pins them anew.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from splitcore import _kernel
from tests.benchmarks.counted_payments import PAYMENTS

ROOT = Path(__file__).resolve().parents[2]
PINS = Path(__file__).with_name("kernel_instructions.toml")
HEADER = Path("/usr/include/valgrind/callgrind.h")
WANTED = (
    "counting instructions takes valgrind (apt-get install valgrind) and a kernel compiled by gcc"
    " for x86-64 Linux"
)
# Requests to callgrind, which are no-ops outside of it.
MARKS = """
#include <valgrind/callgrind.h>
void begin(void) { CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
void end(const char *part) { CALLGRIND_DUMP_STATS_AT(part); CALLGRIND_STOP_INSTRUMENTATION; }
"""
COUNTED = ("--tool=callgrind", "--instr-atstart=no", "--compress-strings=no", "--compress-pos=no")
COUNTING_SECONDS_MAX = 240


class Count(NamedTuple):
    """Instructions a payment: in the compiled kernel itself, and in all."""

    kernel: float
    all: float


def countable() -> bool:
    """Whether this machine can count, and what it counts can be compared with the pins."""
    x86_64 = sysconfig.get_platform() == "linux-x86_64"
    valgrind = shutil.which("valgrind") is not None and HEADER.exists()
    return x86_64 and valgrind and compiler().startswith("gcc ")


def counted(again: int = 0) -> dict[str, Count]:
    """Every part's count by "lanes part", with `again` payments split twice."""
    with tempfile.TemporaryDirectory(prefix="kopeck-counts-") as folder:
        source, marks = Path(folder) / "marks.c", Path(folder) / "marks.so"
        source.write_text(MARKS)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(marks), str(source)], check=True)
        subprocess.run(
            [
                *("valgrind", "--quiet", *COUNTED, f"--callgrind-out-file={folder}/count"),
                *(sys.executable, "-m", "tests.benchmarks.counted_payments"),
                *(str(marks), str(again)),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0", "SPLITCORE_PURE": ""},
            check=True,
            timeout=COUNTING_SECONDS_MAX,
        )
        dumps = [path.read_text() for path in Path(folder).glob("count.*")]
    return dict(part_count(dump) for dump in dumps)


def part_count(dump: str) -> tuple[str, Count]:
    """A part's name and count, of a dump without compression: `ob=` names the object whose own
    lines follow; the line after `calls=` is what a called function took.
    """
    costs: Counter[str] = Counter()
    name, inside, skip = "", "", False
    for line in dump.splitlines():
        if line.startswith("desc: Trigger: Client Request: "):
            name = line.rpartition(": ")[2]
        elif line.startswith("ob="):
            inside = Path(line[3:]).name
        elif line.startswith("calls="):
            skip = True
        elif line[:1].isdigit():
            costs[inside] += 0 if skip else int(line.split()[-1])
            skip = False
    in_kernel = costs[Path(_kernel.__file__).name]
    return name, Count(in_kernel / PAYMENTS, costs.total() / PAYMENTS)


def compiler() -> str:
    """What the kernel was compiled with, as it says itself: "gcc 12"."""
    library = Path(_kernel.__file__).read_bytes()
    told = re.findall(rb"GCC: \([^)]*\) (\d+)|clang version (\d+)", library)
    gcc = sorted({number.decode() for number, _ in told if number})
    clang = sorted({number.decode() for _, number in told if number})
    return " ".join(["clang", *clang] if clang else ["gcc", *gcc])


def python() -> str:
    """The Python whose header files were compiled in: "3.11"."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def off_pins(found: dict[str, Count], pins: dict[str, Any], alike: bool) -> list[str]:
    """What is not as pinned, a line each; `alike`: compiled as the pins were."""
    margin, wide = pins["margin_percent"], pins["margin_wide_percent"]
    told = []
    for part, count in found.items():
        pinned = Count(**pins["part"][part])
        for name, now, pin in zip(Count._fields, count, pinned, strict=True):
            tight = alike and name == "kernel"
            above = (now - pin) * 100
            if above > pin * (margin if tight else wide) or (tight and above < -pin * margin):
                told.append(
                    f"{part}, {name}: expected {pin} instructions a payment, was {now:.0f}"
                    f" ({above / pin:+.1f} %)"
                )
    return told


def pinned() -> dict[str, Any]:
    """The pins as they stand."""
    return tomllib.loads(PINS.read_text())


def pin(found: dict[str, Count]) -> None:
    """Write the counts of this kernel as pins."""
    head = PINS.read_text().partition("\ncompiler =")[0]
    old = pinned()
    lines = [
        head,
        f'compiler = "{compiler()}"',
        f'python = "{python()}"',
        f"margin_percent = {old['margin_percent']}",
        f"margin_wide_percent = {old['margin_wide_percent']}",
        "",
        "[part]",
        *(
            f'"{part}" = {{ kernel = {count.kernel:.0f}, all = {count.all:.0f} }}'
            for part, count in sorted(found.items())
        ),
    ]
    PINS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if not countable():
        raise SystemExit(f"Expected valgrind, as {WANTED}")
    pin(counted())
