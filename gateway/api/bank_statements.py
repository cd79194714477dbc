"""Views of bank statements: nothing is taken before the whole is here and its balances hold."""

import asyncio
from hashlib import blake2b
from typing import Final

from gateway.api import decode, reading, replies
from gateway.api.call import Call, House
from gateway.api.payments import kept
from gateway.api.replies import Reply
from gateway.domain import ids
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows import take_statement
from gateway.payouts.statements.reading import AUTO, StatementReader
from gateway.steps import Step

PIECE_BYTES: Final = 16_384
FILE_TYPES: Final = ("application/octet-stream", "application/xml", "text/plain", "text/xml")


async def take(house: House, call: Call) -> Reply:
    """POST /v1/bank-statements: which payouts were executed, which came back."""
    with house.context.steps.step("payouts", "statement") as step:
        return await _take(house, call, step)


async def _take(house: House, call: Call, step: Step) -> Reply:
    key = call.key()
    settings = house.context.settings
    name = call.query("format").get("format", AUTO)
    reader = StatementReader(name)
    digest = blake2b(digest_size=decode.FINGERPRINT_SIZE)
    size = 0
    async for piece in reading.chunks(call.request, settings.body_timeout_s):
        size += len(piece)
        if size > settings.upload_bytes_max:
            raise Refusal("body_too_large", f"Expected at most {settings.upload_bytes_max} bytes")
        digest.update(piece)
        for at in range(0, len(piece), PIECE_BYTES):
            reader.feed(piece[at : at + PIECE_BYTES])
            # A few milliseconds at a time, whatever the file is made of.
            await asyncio.sleep(0)
    statement = reader.finish()
    step.rows(len(statement.lines))
    body = blake2b(name.encode() + b"\x00" + digest.digest(), digest_size=decode.FINGERPRINT_SIZE)
    claim = Claim(call.caller.number, key, "bank_statements", body.digest())
    async with house.report_turns:
        answer = await take_statement.take(
            house.context, claim, call.caller, statement, digest.digest()
        )
    return kept(replies.OK, answer)


async def show(house: House, call: Call) -> Reply:
    """GET /v1/bank-statements/{id}: what it was answered when it was taken."""
    call.query()
    statement = decode.path_id(ids.STATEMENT, call.names[0])
    return Reply(replies.OK, await take_statement.find(house.context, statement))
