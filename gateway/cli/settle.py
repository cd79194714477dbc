"""`kopeck settle`: the day's batch from a shell, by the same road as over HTTP.

Whoever acts is named, as a key of theirs would name them: nobody approves what they closed here
either. Each command is a request of its own.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from uuid import UUID

import click

from gateway.cli import options
from gateway.config import StartRefused
from gateway.storage import data_directory, migrate, postgres

if TYPE_CHECKING:
    from gateway.domain.party import Caller
    from gateway.flows.context import Context

_PIECE_BYTES: Final = 65_536
_BY = click.option("--by", metavar="NAME", required=True, help="Who does this, by a key's name.")
_FORMAT: Final = ("1c", "ed101", "pain001")
_LISTED: Final = 20

Work = Callable[["Context", "Caller"], Awaitable[bytes]]


@click.group()
def settle() -> None:
    """Close, approve and pay settlement batches; take the bank's statements."""


@settle.command()
@click.option("--date", metavar="YYYY-MM-DD", type=click.DateTime(["%Y-%m-%d"]))
@_BY
@options.database
def close(date: datetime | None, by: str, **given: str | None) -> None:
    """Close what is open up to now; prints the batch."""

    async def work(context: "Context", caller: "Caller") -> bytes:
        from gateway.flows import close_batch, seal_batches

        claim = _claim(caller, "settlement_batches", date)
        day = None if date is None else date.date()
        answer = await close_batch.close(context, claim, caller, day)
        await seal_batches.seal_all(context)
        return answer.content

    click.echo(_done(given, by, "operator", work))


@settle.command()
@click.argument("batch")
@click.option("--override", metavar="REASON", help="Why a batch that looks wrong is right.")
@_BY
@options.database
def approve(batch: str, override: str | None, by: str, **given: str | None) -> None:
    """Approve BATCH, which somebody else has closed."""

    async def work(context: "Context", caller: "Caller") -> bytes:
        from gateway.flows import close_batch, seal_batches

        claim, found = _claim(caller, "approvals", batch), _batch(batch)
        answer = await close_batch.approve(context, claim, caller, found, override)
        await seal_batches.seal_all(context)
        return answer.content

    click.echo(_done(given, by, "approver", work))


@settle.command()
@click.argument("batch")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--format", "name", type=click.Choice(_FORMAT), default="1c", show_default=True)
@click.option(
    "--again", is_flag=True, help="Write the same bytes once more, of a batch that was claimed."
)
@click.option("--override", metavar="REASON", help="Why the bank has no batch out of a backup.")
@_BY
@options.database
def export(
    batch: str,
    file: str,
    name: str,
    again: bool,
    override: str | None,
    by: str,
    **given: str | None,
) -> None:
    """Claim BATCH for sending and write its payout file to FILE (`-` is stdout).

    A batch is claimed once: the second who tries is refused, and must not send it. FILE is touched
    only when its whole content is there.
    """

    async def work(context: "Context", caller: "Caller") -> bytes:
        from gateway.flows import batch_life, payout_files

        found = _batch(batch)
        if again:
            return await batch_life.fetch_again(context, found, name)
        content = await payout_files.payout_file(context, found, name)
        claim = _claim(caller, "payout_claims", batch)
        await batch_life.send(context, claim, caller, found, override)
        return content

    if file == "-":
        sys.stdout.buffer.write(_done(given, by, "operator", work))
        return
    # Opened before the batch is claimed, so that it is not claimed for a file nobody can write.
    part = Path(f"{file}.part")
    try:
        with part.open("wb") as opened:
            opened.write(_done(given, by, "operator", work))
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(file)
    except OSError as failure:
        raise StartRefused(f"Expected a file to write to, was: {failure.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


@settle.command(name="import-statement")
@click.argument("file", type=click.File("rb"))
@click.option("--format", "name", metavar="FORMAT", default="auto", show_default=True)
@_BY
@options.database
def import_statement(file: IO[bytes], name: str, by: str, **given: str | None) -> None:
    """Take a bank's statement: which payouts were executed, which came back.

    The same statement again gives the same answer and changes nothing.
    """
    from gateway.payouts.statements.reading import StatementReader

    settings = options.settings(**given)
    reader, digest, size = StatementReader(name), blake2b(digest_size=16), 0
    while piece := file.read(_PIECE_BYTES):
        size += len(piece)
        if size > settings.upload_bytes_max:
            raise StartRefused(f"Expected at most {settings.upload_bytes_max} bytes")
        digest.update(piece)
        reader.feed(piece)
    statement = reader.finish()

    async def work(context: "Context", caller: "Caller") -> bytes:
        from gateway.flows import take_statement

        claim = _claim(caller, "bank_statements", digest.hexdigest())
        taken = await take_statement.take(context, claim, caller, statement, digest.digest())
        return taken.content

    click.echo(_done(given, by, "operator", work))


@settle.command(name="load-obligations")
@click.argument("file", type=click.File("rb"))
@_BY
@options.database
def load_obligations(file: IO[bytes], by: str, **given: str | None) -> None:
    """Load FILE of debts between recipients, CSV or JSON, a debt a line; good lines are kept.

    Prints what became of its lines; exit code 1 where any was refused. The same file again changes
    nothing.
    """
    import orjson

    from gateway.api.obligation_lines import DebtFile
    from gateway.api.spool import Spool

    settings = options.settings(**given)
    with Spool() as spool:
        debts = DebtFile(spool, settings.upload_bytes_max)
        while piece := file.read(_PIECE_BYTES):
            debts.feed(piece)

        async def work(context: "Context", caller: "Caller") -> bytes:
            from gateway.flows import load_debts

            return orjson.dumps(await load_debts.load(context, caller, debts.bunches()))

        told = _done(given, by, "operator", work)
    click.echo(told)
    if orjson.loads(told)["refused"]:
        sys.exit(1)


@settle.command()
@click.argument("batch", required=False)
@options.database
def status(batch: str | None, **given: str | None) -> None:
    """Show BATCH with its positions, payouts and steps; without it the latest, a line each."""

    async def work(context: "Context") -> bytes:
        import orjson

        from gateway.flows import close_batch

        if batch is not None:
            return orjson.dumps(await close_batch.show(context, _batch(batch)))
        latest = await close_batch.latest(context, _LISTED)
        return b"\n".join(orjson.dumps(one) for one in latest)

    if told := _on_context(given, work):
        click.echo(told)


@settle.command()
@click.argument("batch")
@options.database
def changes(batch: str, **given: str | None) -> None:
    """Show which requisites and fees of BATCH only who changed them had looked at, a line each.

    Whoever changed one of them does not approve the batch.
    """

    async def work(context: "Context") -> bytes:
        import orjson

        from gateway.flows import versions

        found: Any = await versions.of_batch(context, _batch(batch))
        return b"\n".join(orjson.dumps(one) for one in found["changes"])

    if told := _on_context(given, work):
        click.echo(told)


@settle.command()
@click.option("--date", metavar="YYYY-MM-DD", type=click.DateTime(["%Y-%m-%d"]), required=True)
@click.option("--acquirer", metavar="NAME")
@options.database
def reconciliation(date: datetime, acquirer: str | None, **given: str | None) -> None:
    """Show a day's payments four ways, an acquirer a line: online, reported, arrived, paid out."""

    async def work(context: "Context") -> bytes:
        import orjson

        from gateway.flows import worklist

        found: Any = await worklist.day(context, date.date(), acquirer)
        return b"\n".join(orjson.dumps(one) for one in found["acquirers"])

    if told := _on_context(given, work):
        click.echo(told)


@settle.command()
@options.database
def restores(**given: str | None) -> None:
    """Show whether settlement is held after a restore, and what was paid before it."""

    async def work(context: "Context") -> bytes:
        import orjson

        from gateway.flows import after_restore

        return orjson.dumps(await after_restore.show(context))

    click.echo(_on_context(given, work))


@settle.command()
@click.option("--reason", metavar="TEXT", required=True, help="How it is known, and since when.")
@_BY
@options.database
def restored(reason: str, by: str, **given: str | None) -> None:
    """Say that the database was put back by other means than `kopeck restore`.

    Nothing is approved or sent from then on, until that is lifted.
    """

    async def work(context: "Context", caller: "Caller") -> bytes:
        from gateway.flows import after_restore

        claim = _claim(caller, "restores", reason)
        return (await after_restore.say(context, claim, caller, reason)).content

    click.echo(_done(given, by, "operator", work))


@settle.command(name="decide-line")
@click.argument("statement")
@click.argument("line", type=click.IntRange(1))
@click.option("--recipient", metavar="ID", help="Whose it is; without it no order of ours.")
@click.option("--reason", metavar="TEXT", required=True, help="By what that is known.")
@_BY
@options.database
def decide_line(
    statement: str, line: int, recipient: str | None, reason: str, by: str, **given: str | None
) -> None:
    """Say whose LINE of STATEMENT is, which tells of an order that the database has lost."""

    async def work(context: "Context", caller: "Caller") -> bytes:
        from gateway.domain.ids import STATEMENT
        from gateway.flows import after_restore

        found = _id(STATEMENT, statement, "a statement")
        claim = _claim(caller, "restored_lines", (statement, line, recipient))
        answer = await after_restore.decide(context, claim, caller, found, line, recipient, reason)
        return answer.content

    click.echo(_done(given, by, "operator", work))


@settle.command()
@click.argument("restore")
@click.option("--reason", metavar="TEXT", required=True, help="Why settlement may go on.")
@click.option(
    "--document", metavar="TEXT", required=True, help="Statements or letters of the bank."
)
@_BY
@options.database
def lift(restore: str, reason: str, document: str, by: str, **given: str | None) -> None:
    """Ask that settlement goes on after RESTORE; another person approves."""

    async def work(context: "Context", caller: "Caller") -> bytes:
        from gateway.domain.ids import RESTORE
        from gateway.flows import after_restore

        found = _id(RESTORE, restore, "a restore")
        claim = _claim(caller, "restore_lifts", (restore, reason, document))
        answer = await after_restore.ask(context, claim, caller, found, reason, document)
        return answer.content

    click.echo(_done(given, by, "operator", work))


@settle.command(name="approve-lift")
@click.argument("lifted", metavar="LIFT")
@_BY
@options.database
def approve_lift(lifted: str, by: str, **given: str | None) -> None:
    """Let settlement go on, as somebody else has asked in LIFT."""

    async def work(context: "Context", caller: "Caller") -> bytes:
        from gateway.domain.ids import LIFT
        from gateway.flows import after_restore

        claim, found = _claim(caller, "lifted_restores", lifted), _id(LIFT, lifted, "a lift")
        return (await after_restore.approve(context, claim, caller, found)).content

    click.echo(_done(given, by, "approver", work))


@settle.command()
@click.argument("row")
@options.database
def prove(row: str, **given: str | None) -> None:
    """Prove that ROW (pay_…, ref_…, po_…) is in its sealed batch, for docs/verify_proof.py.

    The proof has all columns of that row and of no other.
    """

    async def work(context: "Context") -> bytes:
        import orjson

        from gateway.flows import prove_row

        return orjson.dumps(await prove_row.prove(context, row))

    click.echo(_on_context(given, work))


def _batch(text: str) -> UUID:
    from gateway.domain.ids import SETTLEMENT_BATCH

    return _id(SETTLEMENT_BATCH, text, "a settlement batch")


def _id(prefix: str, text: str, what: str) -> UUID:
    from gateway.domain.ids import read_id

    found = read_id(prefix, text)
    if found is None:
        raise StartRefused(f"Expected the id of {what}, {prefix}…")
    return found


def _claim(caller: "Caller", route: str, body: object) -> Any:
    from gateway.domain.ids import new_id
    from gateway.domain.payment import Claim

    # A key with spaces is none that came over HTTP.
    fingerprint = blake2b(repr(body).encode(), digest_size=16).digest()
    return Claim(caller.number, f"settle {route} {new_id().hex}", route, fingerprint)


def _done(given: dict[str, str | None], by: str, role: str, work: Work) -> bytes:
    """What `work` answers whoever is named, in the role it takes."""

    async def named(context: "Context") -> bytes:
        from gateway.flows import notice_restore
        from gateway.storage import keys

        async with context.connection() as conn:
            caller = await keys.find_named(conn, by, role)
        if caller is None:
            raise StartRefused(
                f"Expected the name of a key in the role {role}, was {by};"
                f" kopeck keys add {by} --role {role} makes one"
            )
        await notice_restore.notice(context)
        return await work(context, caller)

    return _on_context(given, named)


def _on_context(
    given: dict[str, str | None], work: Callable[["Context"], Awaitable[bytes]]
) -> bytes:
    # Imported when used: what settles is far more than what reads options.
    from gateway import app
    from gateway.domain.refusals import Unavailable

    settings = options.settings(**given)

    async def run(url: str) -> bytes:
        conn = await postgres.connect(url, "settle")
        try:
            await migrate.migrate(conn)
        finally:
            await conn.close()
        async with app.open_context(settings, url) as context:
            try:
                return await work(context)
            except Unavailable as failure:
                raise StartRefused(failure.detail) from None

    with data_directory.database(settings, "settle", made=True) as url:
        return asyncio.run(run(url))
