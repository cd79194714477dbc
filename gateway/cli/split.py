"""`kopeck split`: JSON lines of split cases in, their allocations out, in order.

No server, no database. A bad line answers with its refusal and the next line goes on.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

import click
import msgspec

from splitcore import SplitError, split_case

LINE_BYTES_MAX: Final = 4 * 1024 * 1024
CHUNK_BYTES: Final = 1024 * 1024

# msgspec, as orjson would read an integer beyond 64 bits as a float and so tell the wrong refusal.
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def run(stdin: BinaryIO, stdout: BinaryIO) -> None:
    """Answer every line of stdin on stdout; lines that arrive together are answered together."""
    for lines in _arrivals(stdin):
        stdout.write(b"".join(_answer(line) for line in lines))
        stdout.flush()


def _answer(line: bytes | None) -> bytes:
    """The answer to one line, its newline included; None is a line above the bound."""
    if line is None:
        return _refused("malformed", f"Expected a line of at most {LINE_BYTES_MAX} bytes, was more")
    try:
        result = split_case(_decode(line))
    except SplitError as refused:
        return _refused(refused.code, refused.detail)
    except (ValueError, RecursionError):
        return _refused("malformed", "Expected one JSON value a line, was other text")
    return _encode(result) + b"\n"


def _refused(code: str, detail: str) -> bytes:
    return _encode({"error": {"code": code, "detail": detail}}) + b"\n"


def _arrivals(stdin: BinaryIO) -> Iterator[Iterable[bytes | None]]:
    """Groups of whole lines as they arrive; None stands for a line longer than LINE_BYTES_MAX."""
    read = getattr(stdin, "read1", stdin.read)  # read1 returns what is there, without waiting
    pending = b""
    too_long = False
    while chunk := read(CHUNK_BYTES):
        *whole, pending = (pending + chunk).split(b"\n")
        lines = [None if len(line) > LINE_BYTES_MAX else line for line in whole]
        if lines and too_long:
            lines[0], too_long = None, False
        if len(pending) > LINE_BYTES_MAX:
            pending, too_long = b"", True
        if lines:
            yield lines
    if pending or too_long:
        yield [None if too_long else pending]


@click.command("split")
def split() -> None:
    """Split cases: JSON lines on stdin, allocations on stdout.

    A line is {"amount": kopecks, "charges": [{"recipient": id, "due": kopecks}, ...]}, with
    tier, weight, second_level, designation, overpayment, surcharge and commissions where wanted
    (splitcore/README.md has worked bills). A bad line answers with its error; the exit code is 0.
    """
    run(sys.stdin.buffer, sys.stdout.buffer)
