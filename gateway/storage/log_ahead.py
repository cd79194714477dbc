"""Files of PostgreSQL's log, made before anybody needs them; for a server of our own.

A commit that fills the last file there is makes the next one: 16 MB of zeros, made durable while
every other commit waits. A server that has been busy before has old files to use again, up to
min_wal_size; a new one has none, and would stop all payers once in 15,000 payments.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from asyncpg import Connection

MIB: Final = 1024 * 1024

# Files beyond the one that is written now are ready for use. Names of one length sort as the log.
_LOG = """
    SELECT current_setting('archive_mode') = 'off' AS ours,
           pg_size_bytes(current_setting('wal_segment_size')) AS file_bytes,
           pg_size_bytes(current_setting('min_wal_size')) AS kept_bytes,
           (SELECT count(*) FROM pg_ls_waldir()
            WHERE length(name) = 24 AND name > pg_walfile_name(pg_current_wal_insert_lsn()))
               AS ahead
"""
# How much may be written between two looks for a server to count as idle.
IDLE_BYTES: Final = 65_536
_WRITTEN = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
# Nothing is left of a file that something was written to, or the server would not leave it.
_NEXT_FILE = "SELECT pg_switch_wal() FROM pg_logical_emit_message(false, 'kopeck', '')"


async def make(
    conn: "Connection[Any]",
    size: int,
    pause: Callable[[], Awaitable[None]],
    *,
    while_idle: bool = False,
) -> int:
    """Makes files of the log until `size` bytes of them are ready, or as many as the server keeps;
    how many it made.

    Each takes some 50 ms, in which commits wait; `pause` is awaited after each. `while_idle`: none
    is made while others write. None are made where the log is archived, as each would be stored,
    nearly empty.
    """
    log = await conn.fetchrow(_LOG)
    if log is None or not log["ours"]:
        return 0
    # The server counts the file that is written now, and that of the checkpoint, among those kept.
    kept = log["kept_bytes"] // log["file_bytes"] - 2
    wanted = min(size // log["file_bytes"], kept) - log["ahead"]
    made = 0
    seen = await conn.fetchval(_WRITTEN)
    while made < wanted:
        before, seen = seen, await conn.fetchval(_WRITTEN)
        if not while_idle or seen - before <= IDLE_BYTES:
            await conn.execute(_NEXT_FILE)
            made += 1
            seen = await conn.fetchval(_WRITTEN)
        await pause()
    if made:
        # Files before a checkpoint become those that are used next.
        await conn.execute("CHECKPOINT")
    return made
