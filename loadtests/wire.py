"""The wire of the load generator: kept-open connections, requests out, answers checked.

Plain sockets on one epoll, as the generator shares the machine with what it measures: of its time
a request, a fifth is spent here and the rest in calls of the system. It speaks to the loopback
address alone, and is bounded in requests, failures and time.
"""

import heapq
import math
import random
import select
import socket
import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, repeat

HOST = "127.0.0.1"
# Whoever waits longer for one answer has lost it.
ANSWER_S = 60.0
FAILURES_MAX = 100
FIRST_SHOWN = 300
_RECEIVE_BYTES = 1 << 16
# What epoll waits for is whole milliseconds; less than two of them are waited for more finely.
_FINE_S = 0.002
_READ, _BOTH = select.EPOLLIN, select.EPOLLIN | select.EPOLLOUT
_clock = time.perf_counter

Answer = bytes | bytearray


class Expected:
    """What an answer must be: a status and `times` × a token; or else a refusal, where allowed."""

    def __init__(self, status: int, token: str, times: int, refusal: tuple[int, str]) -> None:
        self.status = str(status).encode()
        self.token = token.encode()
        self.times = times
        self.refusal_status = str(refusal[0]).encode()
        self.refusal_token = refusal[1].encode()

    def judged(self, answer: Answer, body_at: int) -> int:
        """1 for a good answer, 0 for a refusal that is allowed, -1 for anything else."""
        status = answer[9:12]
        if status == self.status:
            return 1 if _count(answer, body_at, self.token) == self.times else -1
        if status == self.refusal_status:
            return 0 if answer.find(self.refusal_token, body_at) >= 0 else -1
        return -1


class Connection:
    """One socket and the request on it: when that was due, when sent, what is still to be sent."""

    __slots__ = ("answer", "due_at", "sent_at", "socket", "unsent", "waiting")

    def __init__(self, made: socket.socket) -> None:
        self.socket = made
        self.answer = bytearray()
        self.due_at = 0.0
        self.sent_at = 0.0
        self.unsent: memoryview | None = None
        self.waiting = False


class Load:
    """Requests sent over connections, closed or open loop; afterwards what came of them.

    Closed loop, without `arrivals`: a connection's next request leaves when its answer has come,
    and a latency begins when the request is sent. Open loop: request n is due `arrivals[n]`
    seconds after the start, whoever is late; it leaves on a free connection, and its latency
    begins when it was due. What was due and never could be sent has waited until the end.
    Whoever is refused in an open loop lets `rest_s` to twice as many seconds pass before the
    connection is free. In the first `enter_s` seconds its connections become free by chance.
    """

    def __init__(
        self,
        port: int,
        connections: int,
        expected: Expected,
        requests: Sequence[bytes],
        rounds: int = 1,
        arrivals: Sequence[float] = (),
        rest_s: float = 0.0,
        enter_s: float = 0.0,
    ) -> None:
        self._port = port
        self._expected = expected
        self._requests = chain.from_iterable(repeat(requests, rounds))
        self._open_loop = bool(arrivals)
        self._arrivals: Iterator[float] = iter(arrivals)
        self._next_due = math.inf
        self._due: deque[float] = deque()
        self._poll = select.epoll()
        self._by_fd: dict[int, Connection] = {}
        self._free: deque[Connection] = deque()
        self._rest_s = rest_s
        self._enter_s = enter_s
        # Refused connections and when each is free again, soonest first.
        self._resting: list[tuple[float, int, Connection]] = []
        self._dice = random.Random(1)
        self._waiting = 0
        self._deadline = math.inf
        self._ended = False
        self._finished = 0.0
        self.latencies, self.refusals, self.lags = array("d"), array("d"), array("d")
        self.unsent = 0
        self.failures = 0
        self.first_failure = ""
        for _ in range(connections):
            self._connect()

    def run(self, seconds: float) -> tuple[float, float]:
        """Send for at most `seconds`, wait for the answers; seconds it took, and of processor."""
        cpu_before, started = time.process_time(), _clock()
        self._deadline = started + seconds
        if self._open_loop:
            self._arrivals = (started + offset for offset in self._arrivals)
            self._next_due = next(self._arrivals, math.inf)
            if self._enter_s:
                self._enter(started)
        else:
            while self._free and self._begin(self._free.popleft(), _clock(), 0.0):
                pass
        self._finished = started
        self._turn()
        cpu_seconds = time.process_time() - cpu_before
        self._poll.close()
        for connection in self._by_fd.values():
            connection.socket.close()
        return self._finished - started, cpu_seconds

    def _enter(self, started: float) -> None:
        """Let connections become free by chance, as if their callers had come before."""
        while self._free:
            moment = started + self._enter_s * self._dice.random()
            connection = self._free.popleft()
            heapq.heappush(self._resting, (moment, id(connection), connection))

    def _turn(self) -> None:
        """Work until nothing more is to be sent or waited for."""
        by_fd = self._by_fd
        while True:
            now = _clock()
            if self._open_loop:
                self._send_due(now)
            if not self._waiting and (self._ended or not self._more(now)):
                return
            if now >= self._deadline + ANSWER_S:
                self._fail(f"an answer that did not come within {ANSWER_S:g} s")
                return
            for fd, events in self._ready(now):
                connection = by_fd.get(fd)
                if connection is None:
                    continue
                if events & select.EPOLLOUT:
                    self._send_rest(connection)
                if events & ~select.EPOLLOUT:
                    self._receive(connection)

    def _more(self, now: float) -> bool:
        if self.failures >= FAILURES_MAX or not self._by_fd or now >= self._deadline:
            self.unsent += len(self._due)
            self.latencies.extend(now - due for due in self._due)
            self._due.clear()
            return False
        return self._open_loop and (self._next_due < math.inf or bool(self._due))

    def _ready(self, now: float) -> list[tuple[int, int]]:
        wait = min(self._next_due, self._deadline + (ANSWER_S if self._waiting else 0.0)) - now
        if self._resting:
            wait = min(wait, self._resting[0][0] - now)
        if wait <= 0:
            return self._poll.poll(0)
        if wait < _FINE_S:
            select.select((self._poll,), (), (), wait)
            return self._poll.poll(0)
        return self._poll.poll(wait)

    def _send_due(self, now: float) -> None:
        """Note what is due by now, and send as much of it as there are free connections."""
        due = self._due
        until = min(now, self._deadline)
        while self._next_due <= until:
            due.append(self._next_due)
            self._next_due = next(self._arrivals, math.inf)
        if now >= self._deadline:
            self._next_due = math.inf
            return
        free, resting = self._free, self._resting
        while resting and resting[0][0] <= now:
            free.append(heapq.heappop(resting)[2])
        while due and free:
            due_at = due.popleft()
            self.lags.append(now - due_at)
            if not self._begin(free.popleft(), now, due_at):
                due.clear()
                self._next_due = math.inf

    def _begin(self, connection: Connection, now: float, due_at: float) -> bool:
        """Send the next request; False where it is enough."""
        if now >= self._deadline or self.failures >= FAILURES_MAX:
            request = None
        else:
            request = next(self._requests, None)
        if request is None:
            self._ended = True
            return False
        connection.sent_at = now
        connection.due_at = due_at if self._open_loop else now
        connection.waiting = True
        self._waiting += 1
        try:
            sent = connection.socket.send(request)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lose(connection)
            return True
        if sent < len(request):
            connection.unsent = memoryview(request)[sent:]
            self._poll.modify(connection.socket, _BOTH)
        return True

    def _send_rest(self, connection: Connection) -> None:
        rest = connection.unsent
        if rest is None:
            return
        try:
            rest = rest[connection.socket.send(rest) :]
        except BlockingIOError:
            return
        except OSError:
            # What the other side said before it closed is still to be read.
            rest = None
        connection.unsent = rest or None
        if not rest:
            self._poll.modify(connection.socket, _READ)

    def _receive(self, connection: Connection) -> None:
        answer: Answer
        try:
            answer = connection.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            answer = b""
        if not answer:
            self._lose(connection)
            return
        if connection.answer:
            connection.answer += answer
            answer = connection.answer
        body_at = whole(answer)
        if body_at == 0:
            if not connection.answer:
                connection.answer += answer
            return
        self._answered(connection, answer, body_at)

    def _answered(self, connection: Connection, answer: Answer, body_at: int) -> None:
        now = _clock()
        self._finished = now
        connection.waiting = False
        self._waiting -= 1
        if body_at < 0:
            self._fail("an answer without its length")
            self._close(connection)
            return
        judged = self._expected.judged(answer, body_at)
        if judged > 0:
            self.latencies.append(now - connection.due_at)
        elif judged == 0:
            self.refusals.append(now - connection.sent_at)
        else:
            self._fail(bytes(answer[:FIRST_SHOWN]).decode(errors="replace"))
        if answer.find(b"\r\nConnection: close", 0, body_at) >= 0:
            self._close(connection)
            connection = self._connect()
            self._free.pop()
        elif answer is connection.answer:
            connection.answer = bytearray()
        due = self._due
        if not self._open_loop:
            self._begin(connection, now, 0.0)
        elif judged == 0 and self._rest_s:
            rest = self._rest_s * (1 + self._dice.random())
            heapq.heappush(self._resting, (now + rest, id(connection), connection))
        elif due and now < self._deadline:
            self._begin(connection, now, due.popleft())
        else:
            self._free.append(connection)

    def _connect(self) -> Connection:
        """A further connection, among the free ones."""
        made = socket.create_connection((HOST, self._port), ANSWER_S)
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(made)
        self._by_fd[made.fileno()] = connection
        self._poll.register(made, _READ)
        self._free.append(connection)
        return connection

    def _close(self, connection: Connection) -> None:
        self._poll.unregister(connection.socket)
        del self._by_fd[connection.socket.fileno()]
        connection.socket.close()

    def _lose(self, connection: Connection) -> None:
        if connection.waiting:
            connection.waiting = False
            self._waiting -= 1
            self._fail("a connection that was closed without an answer")
        elif connection in self._free:
            self._free.remove(connection)
        self._close(connection)

    def _fail(self, told: str) -> None:
        self.failures += 1
        self.first_failure = self.first_failure or told


def whole(answer: Answer) -> int:
    """Where the body of a whole answer begins; 0 while more is to come, -1 if it never is known."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return 0
    at = answer.find(b"Content-Length: ", 0, end)
    if at >= 0:
        length = int(answer[at + 16 : answer.find(b"\r\n", at)])
        return end + 4 if len(answer) >= end + 4 + length else 0
    if answer.find(b"Transfer-Encoding: chunked", 0, end) < 0:
        return -1
    # The last chunk is the only place of a body of JSON lines where these bytes can stand.
    return end + 4 if answer.endswith(b"\r\n0\r\n\r\n") else 0


def _count(answer: Answer, body_at: int, token: bytes) -> int:
    if answer.find(b"Transfer-Encoding: chunked", 0, body_at) < 0:
        return answer.count(token, body_at)
    return unchunked(answer, body_at).count(token)


def unchunked(answer: Answer, at: int) -> bytes:
    """The body of a chunked answer that begins at `at`."""
    pieces: list[bytes] = []
    while True:
        end = answer.index(b"\r\n", at)
        size = int(answer[at:end], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(bytes(answer[end + 2 : end + 2 + size]))
        at = end + 4 + size
