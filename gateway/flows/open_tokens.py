"""Opening the tokens of payments before they are queued: one at a time, on the event loop.

A token takes a fifth to two fifths of a millisecond, nearly all of it in calls that hold the
interpreter, so a thread would hold up everybody as long and cost a change of threads besides.
Between two tokens the loop goes round once, so that other payments wait for one token at most.
"""

import asyncio
import copy

import msgspec
from msgspec import structs

from gateway.domain.payment import PaymentRequest, SealedToken
from gateway.domain.refusals import Refusal, Unavailable
from gateway.flows.context import Context


class TokenOpener:
    """Opens tokens in the order in which they came."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turn = asyncio.Lock()

    async def opened(self, request: PaymentRequest) -> PaymentRequest:
        """The request with its token opened, or with why it is not taken.

        A refusal goes on with the request: its key may have been used for it before, while the
        token and our keys were still good, and then the first answer is the answer.
        """
        if not isinstance(request.token, SealedToken):
            return request
        async with self._turn:
            await asyncio.sleep(0)
            return self._opened(request, request.token)

    def _opened(self, request: PaymentRequest, token: SealedToken) -> PaymentRequest:
        context = self._context
        try:
            with context.steps.step("methods", "open"):
                card = context.wallets.open(request.method, token, context.clock.now())
        except (Refusal, Unavailable) as failure:
            # A copy has no traceback, whose frames would hold what was decrypted.
            return structs.replace(request, token=copy.copy(failure))
        return structs.replace(request, facts=msgspec.json.encode(card.facts), token=card.token)
