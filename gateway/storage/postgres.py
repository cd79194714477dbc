"""The way to PostgreSQL: the pool of a worker, single connections of commands, and two judgements.

`assert_durable` decides whether a server may hold money at all; `outcome_unknown` decides whether a
failed commit may have happened. No SQL of any room stands here.
"""

import os

import asyncpg

from gateway import tracing
from gateway.config import Settings, StartRefused
from gateway.storage import statements
from gateway.storage.embedded import url_of
from gateway.storage.primary import Primary, hosts

# The control experiments of the crash tests must be able to lose payments; nobody else may.
ALLOW_NOT_DURABLE = "KOPECK_TEST_ALLOW_NOT_DURABLE"

SERVER_MAJOR_MIN = 15
# Locks that gateways meet at are those of one server: all of them ask the coordinator.
_IS_CITUS = "SELECT to_regclass('pg_catalog.pg_dist_local_group') IS NOT NULL"
_IS_WORKER = "SELECT EXISTS (SELECT FROM pg_dist_local_group WHERE groupid <> 0)"
# What each node that answers is set to, as this server's sessions there see it.
_NODES = """
    SELECT n.nodename || ':' || n.nodeport AS node, r.result
    FROM run_command_on_all_nodes($$
        SELECT concat_ws(' ', current_setting('fsync'), current_setting('full_page_writes'),
                         current_setting('synchronous_commit'),
                         current_setting('max_prepared_transactions'))
    $$) AS r JOIN pg_dist_node AS n USING (nodeid) WHERE r.success ORDER BY 1
"""
_CONNECT_S = 10.0
# asyncpg's own deadline stands behind the server's, and ends a wait for a frozen server.
_COMMAND_GRACE_S = 2.0


async def open_pool(settings: Settings, url: str | None = None) -> asyncpg.Pool:
    """The pool of one worker, by default to the database that the settings mean: to the one host of
    it that writes, whichever that is by the time a connection is opened.

    Waits for a free connection are bounded by whoever acquires it.
    """
    return await asyncpg.create_pool(
        url or url_of(settings),
        connect=Primary(),
        min_size=settings.pool_min,
        max_size=settings.pool_max,
        timeout=_CONNECT_S,
        command_timeout=settings.statement_timeout_ms / 1000 + _COMMAND_GRACE_S,
        statement_cache_size=settings.statement_cache_size,
        reset=_reset,
        init=_told if tracing.on() else None,
        server_settings={
            "application_name": "kopeck worker",
            "search_path": "public",
            "timezone": "UTC",
            # A wait for a lock or a forgotten transaction must not hold up every other payer.
            "lock_timeout": str(settings.lock_timeout_ms),
            "statement_timeout": str(settings.statement_timeout_ms),
            "idle_in_transaction_session_timeout": str(settings.idle_in_transaction_ms),
            # The splitter's statements are short: compiling them costs more than it saves.
            "jit": "off",
        },
    )


async def _reset(conn: asyncpg.Connection) -> None:
    """Nothing: an open transaction is ended before this, and a worker leaves nothing else behind.

    asyncpg's own reset would cost every commit group one more round trip.
    """


async def _told(conn: asyncpg.Connection) -> None:
    """Tells traces of what a connection is asked; without them nothing is looked at."""
    conn.add_query_logger(statements.done)


async def connect(url: str, purpose: str) -> asyncpg.Connection:
    """One connection for a command; StartRefused when there is no such database or no way to it.

    Of several hosts to the one that writes; of one host to that, be it a standby: an audit reads.
    No statement_timeout: an audit or a migration takes as long as it takes.
    """
    try:
        return await (Primary() if len(hosts(url)) > 1 else asyncpg.connect)(
            url,
            timeout=_CONNECT_S,
            server_settings={
                "application_name": f"kopeck {purpose}",
                "search_path": "public",
                "timezone": "UTC",
                "lock_timeout": "10000",
            },
        )
    except asyncpg.ClientConfigurationError:
        raise StartRefused("Expected a database URL, was something else") from None
    except asyncpg.TargetServerAttributeNotMatched:
        raise StartRefused(
            "Expected a primary among the hosts of the database, was none that writes"
        ) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as failure:
        # The URL may hold a password, so only the failure's kind and the server's words are told.
        said = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
        raise StartRefused(f"Expected a database to connect to, was: {said}") from None


async def assert_durable(conn: asyncpg.Connection) -> None:
    """Raises StartRefused when this server could lose a payment that was answered.

    `synchronous_commit` must be on or remote_apply. remote_write and local also survive a crash of
    this one server, but after a failover to the standby an answered payment may be missing.
    The role's and the database's own settings count, as they are this session's.
    """
    version = conn.get_server_version()
    if version.major < SERVER_MAJOR_MIN:
        raise StartRefused(f"Expected PostgreSQL {SERVER_MAJOR_MIN} or newer, was {version.major}")
    if await conn.fetchval("SELECT pg_is_in_recovery()"):
        raise StartRefused("Expected a primary server, was a standby that only reads")
    citus = await conn.fetchval(_IS_CITUS)
    if citus and await conn.fetchval(_IS_WORKER):
        raise StartRefused("Expected the coordinator of Citus, was one of its workers")
    if os.environ.get(ALLOW_NOT_DURABLE) == "1":
        return
    wanted = {
        "fsync": ("on",),
        "full_page_writes": ("on",),
        "synchronous_commit": ("on", "remote_apply"),
    }
    found = {name: await conn.fetchval("SELECT current_setting($1)", name) for name in wanted}
    wrong = [
        f"{name} to be {' or '.join(good)}, was {found[name]}"
        for name, good in wanted.items()
        if found[name] not in good
    ]
    if citus:
        wrong += [wrong_node(*row) for row in await conn.fetch(_NODES) if wrong_node(*row)]
    if wrong:
        raise StartRefused(f"Expected {'; '.join(wrong)}: an answered payment could be lost")


def wrong_node(node: str, told: str) -> str:
    """What a node of Citus would have to be set to, nothing where it holds what it is given.

    `told` are its fsync, full_page_writes, synchronous_commit and max_prepared_transactions.
    """
    fsync, full_pages, commit, prepared = told.split()
    if (fsync, full_pages) == ("on", "on") and commit in ("on", "remote_apply") and prepared != "0":
        return ""
    return (
        f"node {node} to have fsync, full_page_writes and synchronous_commit on and "
        f"max_prepared_transactions above 0, was {told}"
    )


async def commits_wait(conn: asyncpg.Connection) -> bool:
    """Whether a commit is answered only once a standby has it."""
    waits: bool = await conn.fetchval("SELECT current_setting('synchronous_standby_names') <> ''")
    return waits


async def assert_writable(conn: asyncpg.Connection) -> None:
    """Raises ReadOnlySQLTransactionError, as a write would, where this server only reads."""
    if await conn.fetchval("SELECT current_setting('transaction_read_only')") == "on":
        raise asyncpg.ReadOnlySQLTransactionError(
            "Expected a server that writes, was one that reads"
        )


def outcome_unknown(failure: BaseException) -> bool:
    """Whether work that ended with `failure` may nevertheless have been committed.

    Only two things prove that it was not: an ERROR (not a FATAL or a PANIC, which end the
    connection) that the server itself reported, for then it has rolled back, and a value that
    asyncpg refused to send. A lost connection, a server that shut down, a timeout and a
    cancellation prove nothing: the commit may be done and only its answer missing. So unless it is
    known better the outcome is unknown, and is found out by the idempotency key.

    A failure to get a connection from the pool does not belong here: nothing was sent yet.
    """
    if not isinstance(failure, asyncpg.PostgresError):
        return True
    if isinstance(failure, asyncpg.DataError):
        return False
    in_doubt = (asyncpg.PostgresConnectionError, asyncpg.StatementCompletionUnknownError)
    return failure.severity_en != "ERROR" or isinstance(failure, in_doubt)


def will_pass(failure: asyncpg.PostgresError) -> bool:
    """Whether the server refused for now only: the same work may succeed when sent again.

    One that only reads was the primary until a moment ago, and another one is or will be.
    """
    return isinstance(
        failure,
        asyncpg.DeadlockDetectedError
        | asyncpg.SerializationError
        | asyncpg.LockNotAvailableError
        | asyncpg.QueryCanceledError
        | asyncpg.ReadOnlySQLTransactionError
        | asyncpg.InsufficientResourcesError,
    )


def to_be_found_out(failure: Exception) -> bool:
    """Whether keyed work that failed so is to be sent again: it may be done, or may yet succeed.

    Errors of our own code are neither: they are raised before the commit, which then is not sent.
    """
    if isinstance(failure, asyncpg.PostgresError):
        return will_pass(failure) or outcome_unknown(failure)
    lost = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
    return isinstance(failure, lost)
