"""The process that looks at pictures: a request in, an answer out, until nobody asks any more.

It has no secrets and no connections. A picture that takes too long or too much ends this process
and nothing else; the kernel counts its time and memory, so a busy machine refuses nobody.
"""

import resource
import signal
import sys
import time
from typing import BinaryIO, Final

import msgspec

from gateway.domain.refusals import Refusal
from gateway.scans import drawing, pictures
from gateway.scans.codes import FRAME, Answer, Request

CPU_S_MAX: Final = 5
MEMORY_BYTES_MAX: Final = 1024 * 1024 * 1024

_request: Final = msgspec.msgpack.Decoder(Request)
_encode: Final = msgspec.msgpack.Encoder().encode


def main() -> None:
    """Answers requests on stdin until it ends."""
    # Ctrl-C goes to the whole terminal; the worker ends this one when it has finished.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    asked, told = sys.stdin.buffer, sys.stdout.buffer
    while (content := _frame(asked)) is not None:
        _allow_cpu_s(CPU_S_MAX)
        answer = _encode(_answer(_request.decode(content)))
        told.write(FRAME.pack(len(answer)) + answer)
        told.flush()


def _answer(request: Request) -> Answer:
    try:
        if request.form is not None:
            return Answer(drawn=drawing.draw(request.content, request.form))
        return Answer(codes=pictures.codes_in(request.content, request.pixels_max))
    except Refusal as refusal:
        return Answer(refused=(refusal.code, refusal.detail))
    except MemoryError:
        return Answer(refused=("malformed", "Expected a picture that takes less to look at"))


def _allow_cpu_s(more: int) -> None:
    """Ends this process with SIGXCPU once it has used so many seconds more."""
    used = int(time.process_time()) + 1
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (used + more, most))


def _frame(source: BinaryIO) -> bytes | None:
    head = source.read(FRAME.size)
    if len(head) < FRAME.size:
        return None
    (length,) = FRAME.unpack(head)
    content = source.read(length)
    return content if len(content) == length else None


if __name__ == "__main__":
    main()
