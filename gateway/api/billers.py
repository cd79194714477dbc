"""Views of the biller protocols: always HTTP 200 and XML once the caller is let in.

What fails is told in the protocol's own results. Nothing of a request is logged: its path ends in
the caller's key, and its parameters name people.
"""

from collections.abc import Callable, Mapping
from typing import Final

from gateway import logs
from gateway.api import reading, replies
from gateway.api.call import Call, House
from gateway.api.failures import told as told_code
from gateway.api.payments import failed_as
from gateway.api.replies import Reply
from gateway.api.request import Request
from gateway.billers import fields, osmp, sber, xml
from gateway.billers.requests import METHOD
from gateway.billers.verdicts import verdict_of
from gateway.domain import biller as words
from gateway.domain.biller import PAY, Asked, OperationDiffers, Told
from gateway.domain.payment import METHODS
from gateway.flows import serve_biller

FORM_TYPES: Final = ("application/x-www-form-urlencoded",)

log = logs.logger("kopeck.api")

Read = Callable[[Mapping[str, str] | None], Asked]
Write = Callable[[Asked, Told], bytes]


async def take_osmp(house: House, call: Call) -> Reply:
    """GET or POST /osmp/{secret}."""
    return await _take(house, call, osmp.read, osmp.write)


async def take_sber(house: House, call: Call) -> Reply:
    """GET or POST /sber/{secret}."""
    return await _take(house, call, sber.read, sber.write)


def osmp_failed(house: House, request: Request, failure: Exception) -> Reply:
    """The answer to a request that the door does not let through to `take_osmp`."""
    return _turned_away(house, request, failure, osmp.read, osmp.write)


def sber_failed(house: House, request: Request, failure: Exception) -> Reply:
    """The answer to a request that the door does not let through to `take_sber`."""
    return _turned_away(house, request, failure, sber.read, sber.write)


async def _take(house: House, call: Call, read: Read, write: Write) -> Reply:
    started = house.loop.time()
    settings = house.context.settings
    content = _query(call.request)
    if call.request.method == "POST":
        # Some send a form, some put its parameters in the path all the same.
        form = await reading.whole(call.request, fields.FORM_BYTES_MAX, settings.body_timeout_s)
        content = b"&".join(part for part in (content, form) if part)
    asked = read(fields.parameters(content))
    try:
        told = await serve_biller.answer(house.context, house.intake, call.caller, asked)
    except Exception as failure:
        if isinstance(failure, OperationDiffers):
            _alarm(house, call, asked, failure)
        if asked.command == PAY:
            house.telemetry.payment(METHODS[METHOD], failed_as(failure))
        return _failed(house, asked, failure, write)
    if asked.command == PAY:
        _count(house, told, started)
    return _told(house, asked, told, write)


def _turned_away(
    house: House, request: Request, failure: Exception, read: Read, write: Write
) -> Reply:
    asked = read(fields.parameters(_query(request)))
    reply = _failed(house, asked, failure, write)
    if not request.content.is_eof():
        reply.force_close()
    return reply


def _failed(house: House, asked: Asked, failure: Exception, write: Write) -> Reply:
    if told_code(failure)[0] == "internal":
        logs.bug(failure, f"the protocol {asked.protocol}")
    return _told(house, asked, Told(verdict=verdict_of(failure, asked.command)), write)


def _told(house: House, asked: Asked, told: Told, write: Write) -> Reply:
    house.telemetry.biller_answered(asked.protocol, asked.command, told.verdict)
    return Reply(replies.OK, write(asked, told), xml.MEDIA_TYPE)


def _query(request: Request) -> bytes:
    return request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")


def _alarm(house: House, call: Call, asked: Asked, failure: OperationDiffers) -> None:
    """One line and one count for an operation that came again with something else."""
    house.telemetry.biller_conflict(asked.protocol, failure.differs)
    log.warning(
        "an operation came again with something else",
        caller=call.caller.name,
        protocol=asked.protocol,
        differs=failure.differs,
    )


def _count(house: House, told: Told, started: float) -> None:
    telemetry = house.telemetry
    if told.verdict == words.DONE:
        outcome = "suspense" if told.suspense else "accepted"
    else:
        outcome = "replayed" if told.verdict == words.REPEATED else "refused"
    telemetry.payment(METHODS[METHOD], outcome)
    if outcome != "refused":
        telemetry.payment_seconds.observe(house.loop.time() - started)
