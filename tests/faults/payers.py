"""Payers: a bounded number of them, each sending one payment after another over HTTP."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from tests.faults.history import History, Sent

PAYERS = 24
SENT_MAX = 200_000
TRIES_MAX = 3_000
_ANSWER_S = 20.0
_PAUSE_S = 0.02
LOST = (aiohttp.ClientError, TimeoutError, OSError)


async def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits for a condition; fails with `what` once the time is up."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"{what} within {seconds} s"
        await asyncio.sleep(0.01)


class Payers:
    """Sends payments to `port` and writes down what it was told.

    Who `insists` sends a payment of unknown outcome again, with its key, until it is known.
    """

    def __init__(
        self,
        history: History,
        secret: str,
        port: int,
        seed: int,
        *,
        host: str = "127.0.0.1",
        insists: bool = False,
        idle_s: float = 0.0,
    ) -> None:
        self.history = history
        self.answers: Counter[int] = Counter()
        # How often nobody listened, or a connection ended before the answer came.
        self.failed = 0
        self._secret = secret
        self._url = f"http://{host}:{port}"
        self._insists = insists
        self._idle_s = idle_s
        self._dice = random.Random(seed)
        self._stopping = False

    @asynccontextmanager
    async def paying(self, payers: int = PAYERS) -> AsyncIterator[None]:
        """Payments go on for as long as the block does; those under way are then waited for."""
        self._stopping = False
        async with self._session(payers) as session, asyncio.TaskGroup() as tasks:
            for _ in range(payers):
                tasks.create_task(self._pay(session))
            try:
                yield
            finally:
                self._stopping = True

    async def more(self, count: int, seconds: float = 60) -> None:
        """Waits until so many more payments were acknowledged."""
        wanted = self.history.acknowledged + count
        await until(
            lambda: self.history.acknowledged >= wanted, seconds, f"{count} acknowledged payments"
        )

    async def find_out(self, seconds: float = 60) -> int:
        """Sends what is unknown again until it is answered; how many payments that were."""
        unknown = self.history.unknown()
        async with self._session(PAYERS) as session, asyncio.timeout(seconds):
            for first in range(0, len(unknown), PAYERS):
                await asyncio.gather(
                    *(self._insist(session, sent) for sent in unknown[first : first + PAYERS])
                )
        return len(unknown)

    async def try_once(self, sent: Sent) -> None:
        """Sends one payment, whatever becomes of it."""
        async with self._session(1) as session:
            await self._send(session, sent)

    async def ask_again(self, sent: Sent) -> bool:
        """Sends an acknowledged payment once more: whether it is answered as a replay of itself."""
        async with self._session(1) as session:
            status, payment, _, replayed = await self._post(session, sent)
            return (status, payment, replayed) == (201, sent.payment, True)

    async def metrics(self) -> str:
        async with self._session(1) as session, session.get(f"{self._url}/metrics") as answer:
            assert answer.status == 200
            return await answer.text()

    def _session(self, connections: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(total=_ANSWER_S),
            headers={"Authorization": f"Bearer {self._secret}"},
        )

    async def _pay(self, session: aiohttp.ClientSession) -> None:
        while not self._stopping:
            # Payers that fell silent would look like a gateway that hangs.
            assert len(self.history.sent) < SENT_MAX, f"a test sends fewer than {SENT_MAX} payments"
            # One payment in ten is for an account that no bill was loaded for.
            number = self._dice.randrange(22)
            # Some connections rest between payments, as those of real callers do.
            if self._idle_s and self._dice.random() < 0.1:
                await asyncio.sleep(self._dice.uniform(0, self._idle_s))
            sent = self.history.send(f"A{number}", self._dice.randint(1, 50_000))
            if self._insists:
                await self._insist(session, sent)
                continue
            while not await self._send(session, sent):
                if self._stopping:
                    break
                await asyncio.sleep(_PAUSE_S)

    async def _send(self, session: aiohttp.ClientSession, sent: Sent) -> bool:
        """False where nothing was sent at all, as nobody listens."""
        try:
            status, payment, total, _ = await self._post(session, sent)
        except aiohttp.ClientConnectorError:
            self.failed += 1
            return False
        except LOST:
            self.failed += 1
            return True
        self.answers[status] += 1
        if status == 201:
            self.history.acknowledge(sent, payment, total)
        return True

    async def _insist(self, session: aiohttp.ClientSession, sent: Sent) -> None:
        for _ in range(TRIES_MAX):
            if sent.payment is not None:
                return
            await self._send(session, sent)
            if sent.payment is None:
                await asyncio.sleep(_PAUSE_S)

    async def _post(self, session: aiohttp.ClientSession, sent: Sent) -> tuple[int, str, int, bool]:
        body = {
            "subscriber_account": sent.account,
            "amount": sent.amount,
            "method": {"type": "card"},
        }
        async with session.post(
            f"{self._url}/v1/payments", json=body, headers={"Idempotency-Key": sent.key}
        ) as answer:
            told = await answer.json(content_type=None)
            replayed = answer.headers.get("Idempotency-Replayed") == "true"
            return answer.status, told.get("id", ""), told.get("total", 0), replayed
