"""The process that prints one act: JSON on stdin, a PDF on stdout.

It has no secrets and no connections, and the kernel bounds its time and memory. What it prints
depends on the act and the template alone: no clock, no fonts of the machine.
"""

import resource
import sys
from importlib.resources import files
from typing import Final

import typst

CPU_S_MAX: Final = 10
MEMORY_BYTES_MAX: Final = 2 * 1024 * 1024 * 1024
ACT_BYTES_MAX: Final = 65_536


def printed(act: str) -> bytes:
    """The PDF of an act."""
    template = files("gateway.settlement").joinpath("act.typ").read_bytes()
    content = typst.compile(template, sys_inputs={"act": act}, ignore_system_fonts=True)
    if type(content) is not bytes:
        raise TypeError("Expected one PDF")
    return content


def main() -> None:
    """Prints the act on stdin; nothing at all where it cannot."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    act = sys.stdin.buffer.read(ACT_BYTES_MAX + 1)
    if len(act) > ACT_BYTES_MAX:
        sys.exit(1)
    sys.stdout.buffer.write(printed(act.decode()))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
