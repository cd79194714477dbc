"""Views of acquirer reports: take a file, show what became of it, set an acquirer's policy."""

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from gateway.acquirer_reports.layout import AUTO
from gateway.acquirer_reports.policy import Policy
from gateway.api import decode, encode, reading, replies, strict_json
from gateway.api.call import Call, House
from gateway.api.payments import failed_as, kept, outcome_of
from gateway.api.replies import Reply
from gateway.api.report_upload import ReportUpload
from gateway.api.spool import Spool
from gateway.domain import ids
from gateway.domain.payment import Claim, Receipt
from gateway.domain.refusals import Refusal, Unavailable
from gateway.flows import answers, find_report
from gateway.flows.take_acquirer_report import Taking
from gateway.steps import Step

# Formats of the product; a centre's own are taken as well.
FORMATS: Final = ("sber12", "sber15", "qiwi", "gorod", "post")
FILE_TYPES: Final = ("application/octet-stream", "text/csv", "text/plain")

_policy: Final = msgspec.json.Decoder(Policy)


async def take(house: House, call: Call) -> Reply:
    """POST /v1/acquirer-reports: nothing is taken before the whole file is here and adds up."""
    with house.context.steps.step("acquirer_reports", "take") as step:
        return await _take(house, call, step)


async def _take(house: House, call: Call, step: Step) -> Reply:
    key = call.key()
    settings = house.context.settings
    format_name = call.query("format").get("format", AUTO)
    layouts = house.layouts.of(format_name)
    digest = blake2b(format_name.encode() + b"\x00", digest_size=decode.FINGERPRINT_SIZE)
    with Spool() as spool:
        upload = ReportUpload(spool, layouts, ZoneInfo(settings.timezone))
        size = 0
        async for piece in reading.chunks(call.request, settings.body_timeout_s):
            size += len(piece)
            if size > settings.upload_bytes_max:
                raise Refusal(
                    "body_too_large", f"Expected at most {settings.upload_bytes_max} bytes"
                )
            digest.update(piece)
            upload.feed(piece)
        file = upload.finish()
        step.rows(file.rows)
        claim = Claim(call.caller.number, key, "acquirer_reports", digest.digest())

        async def act(report: UUID) -> bytes:
            taking = Taking(house.context, house.intake, call.caller.number, report, file)
            parts = upload.parts(lambda: _check_not_stopping(house))
            return encode.json(await taking.take(parts, _Counter(house, file.method)))

        async with house.report_turns:
            return kept(replies.OK, await answers.once_in_parts(house.context, claim, act))


def _check_not_stopping(house: House) -> None:
    if house.stopping.is_set():
        raise Unavailable("unavailable", "This process is stopping; send the file again")


class _Counter:
    """Counts payments of one method in the metrics."""

    def __init__(self, house: House, method: str) -> None:
        self._telemetry = house.telemetry
        self._method = method

    def __call__(self, outcomes: Sequence[Receipt | Exception]) -> None:
        # Not one by one, which costs as much as a row of the table.
        became = Counter(
            outcome_of(one) if isinstance(one, Receipt) else failed_as(one) for one in outcomes
        )
        for told, count in became.items():
            self._telemetry.payment(self._method, told, count)


async def show(house: House, call: Call) -> Reply:
    """GET /v1/acquirer-reports/{id}."""
    call.query()
    report = decode.path_id(ids.REPORT, call.names[0])
    return Reply(
        replies.OK, encode.json(await find_report.find(house.context, call.caller, report))
    )


async def show_policy(house: House, call: Call) -> Reply:
    """GET /v1/report-policies/{caller}."""
    call.query()
    policy = await find_report.policy(house.context, call.names[0])
    return Reply(replies.OK, encode.json(msgspec.to_builtins(policy)))


async def put_policy(house: House, call: Call) -> Reply:
    """PUT /v1/report-policies/{caller}, for the caller's next files."""
    policy = strict_json.decode(_policy, call.content)
    await find_report.set_policy(house.context, call.caller, call.names[0], policy)
    return Reply(replies.OK, encode.json(msgspec.to_builtins(policy)))
