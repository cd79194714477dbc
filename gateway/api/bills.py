"""Views of bills: a load as one document or as NDJSON, and the open bill of an account."""

import asyncio
import re
from collections.abc import AsyncIterator
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from gateway.api import decode, encode, reading, replies, strict_json
from gateway.api.bill_lines import BillLines
from gateway.api.call import Call, House
from gateway.api.payments import kept
from gateway.api.replies import Reply
from gateway.api.spool import Spool
from gateway.config import Settings
from gateway.domain.bill import check_account
from gateway.domain.packed_bill import PackedBill
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows import answers, find_bill, load_bills
from gateway.flows.bill_forms import BillForms

_DOCUMENT: Final = re.compile(rb'\s*\{\s*"bills"\s*:')
_NDJSON_TYPES: Final = re.compile(r"application/(?:x-)?(?:ndjson|jsonl|jsonlines)\b")
_SNIFFED_BYTES: Final = 256


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    """The document form, its bills undecoded so that a bad one does not spoil the others."""

    bills: list[msgspec.Raw]


_document = msgspec.json.Decoder(_Document)


async def show(house: House, call: Call) -> Reply:
    """GET /v1/bills/{subscriber_account}."""
    call.query()
    check_account(call.names[0])
    return Reply(replies.OK, encode.json(await find_bill.find(house.context, call.names[0])))


async def load(house: House, call: Call) -> Reply:
    """POST /v1/bills. The body is taken in whole, on disk, before anything is done.

    Its fingerprint is of the bytes as they came, so only then can the key be claimed for it; and
    a load that breaks off on its way has changed nothing.
    """
    key = call.key()
    settings = house.context.settings
    size_max = settings.stream_bytes_max
    digest = blake2b(digest_size=decode.FINGERPRINT_SIZE)
    with Spool() as spool:
        async for piece in reading.chunks(call.request, settings.body_timeout_s):
            digest.update(piece)
            spool.append(piece)
            if len(spool) > size_max:
                raise Refusal("body_too_large", f"Expected at most {size_max} bytes")
        claim = Claim(call.caller.number, key, "bills", digest.digest())

        async def act(_: UUID) -> bytes:
            bills = _bills(call, spool.pieces(), settings)
            loaded = await load_bills.load(house.context, call.caller, bills)
            return encode.json(loaded)

        return kept(replies.OK, await answers.once_in_parts(house.context, claim, act))


async def _bills(
    call: Call, pieces: AsyncIterator[bytes], settings: Settings
) -> AsyncIterator[list[PackedBill | Refusal]]:
    """Bunches of the bills of either form, or why a line is none."""
    lines = BillLines(BillForms())
    head = b""
    async for piece in pieces:
        head += piece
        if len(head) >= _SNIFFED_BYTES:
            break
    following = _with_head(head, pieces)
    kind = call.request.headers.get("Content-Type", "").lower()
    if not _NDJSON_TYPES.match(kind) and _is_document(kind, head):
        raws = await _document_bills(following, settings.upload_bytes_max)
        for at in range(0, len(raws), reading.BUNCH_MAX):
            yield lines.read(raws[at : at + reading.BUNCH_MAX])
            await asyncio.sleep(0)
        return
    async for bunch in reading.lines(following, settings.body_bytes_max):
        yield lines.read(bunch)


def _is_document(kind: str, head: bytes) -> bool:
    return kind.startswith(replies.JSON) or _DOCUMENT.match(head) is not None


async def _with_head(head: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for piece in pieces:
        yield piece


async def _document_bills(pieces: AsyncIterator[bytes], size_max: int) -> list[msgspec.Raw]:
    content = bytearray()
    async for piece in pieces:
        content += piece
        if len(content) > size_max:
            raise Refusal("body_too_large", f"Expected at most {size_max} bytes, or NDJSON")
    try:
        bills = _document.decode(content).bills
    except (ValueError, RecursionError):
        raise Refusal("malformed", 'Expected {"bills": [bill, …]} or a bill a line') from None
    if content.count(b'"bills"') > 1:
        strict_json.check_text(bytes(content))
    return bills
