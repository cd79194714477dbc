"""The port that all workers share: found free, held, and listened on by a socket for each worker.

The supervisor keeps these sockets, so what waits to be accepted outlives the worker it waits for.
Nothing here accepts a connection.
"""

import socket
import time

from gateway.config import StartRefused

# Workers of a supervisor that was just killed need a moment to let go of the port.
_FREE_WITHIN_S = 2.0
_POLL_S = 0.05
BACKLOG = 1024


def hold(host: str, port: int) -> socket.socket:
    """A socket bound to the port, but not listening; while it is open no other program gets it.

    Port 0 takes any free one: see `getsockname`. Raises StartRefused when the port is busy or the
    host is not one of this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as failure:
        raise StartRefused(f"Expected a host of this machine, was {host!r}") from failure
    family, kind, protocol, _, address = found[0]
    deadline = time.monotonic() + _FREE_WITHIN_S
    while True:
        try:
            _assert_nobody_listens(family, address)
            held = socket.socket(family, kind, protocol)
            try:
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                held.bind(address)
            except OSError:
                held.close()
                raise
            return held
        except OSError as failure:
            if time.monotonic() >= deadline:
                raise StartRefused(
                    f"Expected {host}:{port} to be free, was: {failure.strerror}"
                ) from None
            time.sleep(_POLL_S)


def _assert_nobody_listens(family: int, address: tuple[object, ...]) -> None:
    """SO_REUSEPORT would let us in beside another gateway, so first ask without it."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def shown(held: socket.socket) -> str:
    """`HOST:PORT`, as it stands in a URL."""
    host, port = held.getsockname()[:2]
    return f"[{host}]:{port}" if held.family == socket.AF_INET6 else f"{host}:{port}"


def listening(held: socket.socket, count: int) -> list[socket.socket]:
    """So many sockets that listen on the port; the kernel spreads new connections over them."""
    made = []
    for _ in range(count):
        one = socket.socket(held.family, held.type, held.proto)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(held.getsockname())
        one.listen(BACKLOG)
        made.append(one)
    return made
