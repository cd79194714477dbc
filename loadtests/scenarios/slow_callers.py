"""Callers that begin a payment and stall in the middle of its body: intake must not notice.

Not a crowd that pays but company beside one, so it is no `Scenario`.
"""

import contextlib
import socket
from collections.abc import Iterator

from loadtests import households
from loadtests.wire import HOST

CALLERS = 200
_CONNECT_S = 10.0


@contextlib.contextmanager
def slow_callers(port: int, secret: str, callers: int = CALLERS) -> Iterator[None]:
    """So many connections on which half a payment was sent; the gateway may end them meanwhile."""
    requests = households.single_requests(secret, households.payments(1, callers, "stalled"))
    with contextlib.ExitStack() as stack:
        for request in requests:
            made = stack.enter_context(socket.create_connection((HOST, port), _CONNECT_S))
            made.sendall(request[: -len(request) // 4])
        yield
