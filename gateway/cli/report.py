"""`kopeck report import`: an acquirer's file from the shell, by the same road as over HTTP."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from hashlib import blake2b
from typing import IO, TYPE_CHECKING, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import click

from gateway.cli import options
from gateway.config import Settings, StartRefused
from gateway.storage import data_directory, migrate, postgres

if TYPE_CHECKING:
    from gateway.acquirer_reports.rows import ReportFile, Row
    from gateway.api.report_upload import ReportUpload
    from gateway.flows.context import Context

_PIECE_BYTES: Final = 65_536
_FINGERPRINT_SIZE: Final = 16


@click.group()
def report() -> None:
    """Take the files that acquirers send."""


@report.command(name="import")
@click.argument("file", type=click.File("rb"))
@click.option("--acquirer", metavar="NAME", required=True, help="Whose file it is.")
@click.option("--format", "format_name", metavar="FORMAT", default="auto", show_default=True)
@options.database
def import_(file: IO[bytes], acquirer: str, format_name: str, **given: str | None) -> None:
    """Match the rows of FILE, make payments of the rest, print what became of it.

    The same file again gives the same answer and changes nothing.
    """
    settings = options.settings(**given)
    with data_directory.database(settings, "report", made=True) as url:
        answer = asyncio.run(_import(settings, url, file, acquirer, format_name))
    click.echo(answer)


async def _import(
    settings: Settings, url: str, file: IO[bytes], acquirer: str, format_name: str
) -> bytes:
    # Imported when used: what takes payments is far more than what reads options.
    from gateway import app
    from gateway.acquirer_reports import layouts
    from gateway.api.report_upload import ReportUpload
    from gateway.api.spool import Spool
    from gateway.domain.refusals import Unavailable

    conn = await postgres.connect(url, "report")
    try:
        await migrate.migrate(conn)
    finally:
        await conn.close()
    known = layouts.load(settings.report_layouts).of(format_name)
    digest = blake2b(format_name.encode() + b"\x00", digest_size=_FINGERPRINT_SIZE)
    with Spool() as spool:
        upload = ReportUpload(spool, known, ZoneInfo(settings.timezone))
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            upload.feed(piece)
        read = upload.finish()
        async with app.open_context(settings, url) as context:
            try:
                return await _take(context, acquirer, upload, read, digest.digest())
            except Unavailable as failure:
                raise StartRefused(failure.detail) from None


async def _take(
    context: "Context", acquirer: str, upload: "ReportUpload", read: "ReportFile", digest: bytes
) -> bytes:
    import orjson

    from gateway.domain.payment import Claim
    from gateway.flows import answers, find_report
    from gateway.flows.accept_payment import Intake
    from gateway.flows.take_acquirer_report import Taking

    caller = await find_report.acquirer(context, acquirer)
    # A key with spaces is none of the acquirer's own.
    claim = Claim(caller, f"report import {digest.hex()}", "acquirer_reports", digest)
    intake = Intake(context, _Unobserved())
    with click.progressbar(length=read.rows, label="rows", file=sys.stderr) as progress:

        async def parts() -> AsyncIterator[Sequence["Row"]]:
            async for rows in upload.parts(lambda: None):
                yield rows
                progress.update(len(rows))

        async def act(report: UUID) -> bytes:
            taking = Taking(context, intake, caller, report, read)
            return orjson.dumps(await taking.take(parts(), lambda _: None))

        await intake.start()
        try:
            answer = await answers.once_in_parts(context, claim, act)
        finally:
            await intake.drain()
    return answer.content


class _Unobserved:
    """A command has no metrics."""

    def group(self, size: int, seconds: float) -> None:
        """Nothing is counted."""

    def split(self, seconds: float, count: int) -> None:
        """Nothing is counted."""
