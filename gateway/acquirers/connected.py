"""The acquirers of one worker, connected: their connections are opened and closed here."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from msgspec import Struct

from gateway import logs
from gateway.acquirers.exchange import SANDBOX, Exchange
from gateway.acquirers.kinds import KINDS, Wiring
from gateway.acquirers.settings import AcquirerSettings, load, secret
from gateway.acquirers.words import Acquirer
from gateway.steps import Steps

log = logs.logger("kopeck.acquirers")


class Connected(Struct, frozen=True):
    """An acquirer by its name, with its settings and the way to speak to it."""

    name: str
    settings: AcquirerSettings
    acquirer: Acquirer

    @property
    def instruments(self) -> frozenset[str]:
        """Types of methods that it takes."""
        return KINDS[self.settings.kind].instruments


Acquirers = Mapping[str, Connected]


@asynccontextmanager
async def connect(path: Path | None, steps: Steps) -> AsyncIterator[Acquirers]:
    """The acquirers of a file by name, none without one; raises StartRefused."""
    found: dict[str, Connected] = {}
    async with AsyncExitStack() as opened:
        if path is not None:
            for name, one in load(path).items():
                authority = None if one.authority is None else path.parent / one.authority
                exchange = Exchange(one.url, one.timeout_s, authority, one.kind, steps)
                await opened.enter_async_context(exchange)
                secrets = {
                    word: secret(path.parent, word, place) for word, place in one.secrets.items()
                }
                wiring = Wiring(exchange, one.options, secrets)
                if one.kind == SANDBOX:
                    log.warning("a sandbox takes no money", acquirer=name)
                found[name] = Connected(name, one, KINDS[one.kind].make(wiring))
        yield found
