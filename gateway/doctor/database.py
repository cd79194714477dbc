"""What only the database can tell: durability, schema, clocks, replicas, keys, what waits."""

from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from gateway.calendar import BusinessDays
from gateway.config import StartRefused
from gateway.doctor.finding import Finding, ill, look, well
from gateway.domain.clock import Clock
from gateway.flows.agreed_days import late_from
from gateway.storage import keys, migrate, postgres
from gateway.watch import Standing, Watch

_SKEW_S: Final = 1.0
_CONNECTIONS_SHARE: Final = 0.9
_LAG_BYTES: Final = 64 * 2**20
_OLD_KEY: Final = timedelta(days=365)
_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600
_MONTHS_DAYS: Final = 14
# The same bounds as the alerts', and their pages.
_AGES: Final = (
    ("suspense_age", "suspense", 3, "docs/runbooks/SuspenseAged.md"),
    ("payout_age", "payouts", 4, "docs/runbooks/PayoutStuck.md"),
    ("statement_age", "statements", 3, "docs/runbooks/StatementMissing.md"),
)


async def examine(conn: Any, clock: Clock, days: BusinessDays) -> AsyncIterator[Finding]:
    """Everything behind this connection; what needs tables only where the schema is ours."""
    version = await conn.fetchval("SELECT current_setting('server_version')")
    try:
        await postgres.assert_durable(conn)
        yield well("durability", f"PostgreSQL {version} keeps what it answers")
    except StartRefused as refused:
        yield ill("durability", str(refused), "Set it as deploy/postgres/kopeck.conf does")
    if await conn.fetchval("SELECT current_setting('data_checksums')") != "on":
        advice = "Stop the server and run pg_checksums --enable: a rotten page is then noticed"
        yield look("checksums", "pages have none", advice)
    if not await migrate.current(conn):
        advice = "Run kopeck migrate; where the schema is newer, install the newer kopeck"
        yield ill("schema", "not the one of this program", advice)
        return
    yield well("schema", f"{len(migrate.migrations())} migrations, as in this program")
    standing = await Watch(lambda: nullcontext(conn), clock, None, partial(late_from, days)).look()
    for finding in _standing(standing):
        yield finding
    yield _failover(standing.replicas, await postgres.commits_wait(conn))
    for finding in _keys(await keys.listed(conn), clock.now()):
        yield finding


def _standing(standing: Standing) -> Iterator[Finding]:
    skew = f"{standing.clock_skew:+.3f} s between the database's clock and this one"
    if abs(standing.clock_skew) > _SKEW_S:
        yield ill("clocks", skew, "Keep both right with NTP: docs/runbooks/ClockSkew.md")
    else:
        yield well("clocks", skew)
    used = f"{standing.connections} of {standing.connections_max}"
    if standing.connections > _CONNECTIONS_SHARE * standing.connections_max:
        yield ill("connections", used, "See docs/runbooks/ConnectionsExhausted.md")
    else:
        yield well("connections", used)
    yield _months(standing.months_ahead)
    yield _replicas(standing)
    if standing.held_age:
        hours = standing.held_age / _HOUR_S
        told = f"the database was restored, and pays nobody since {hours:.1f} hours"
        yield ill("restores", told, "See docs/runbooks/SettlementHeld.md")
    else:
        yield well("restores", "none holds settlement")
    late = standing.settlement_late / _HOUR_S
    if late > 1:
        told = f"money that was to go out is in no approved batch, for {late:.1f} hours"
        yield look("settlement", told, "See docs/runbooks/SettlementLate.md")
    else:
        yield well("settlement", "nothing is late")
    for field, what, days, page in _AGES:
        age = getattr(standing, field)
        told = f"the oldest has waited {age / _DAY_S:.1f} days" if age else "nothing waits"
        yield look(what, told, f"See {page}") if age > days * _DAY_S else well(what, told)


def _months(ahead_s: float) -> Finding:
    told = f"there is a partition for payments of the next {ahead_s / _DAY_S:.1f} days"
    if ahead_s > _MONTHS_DAYS * _DAY_S:
        return well("months", told)
    if ahead_s <= 0:
        told = f"payments have lain in no month for {-ahead_s / _DAY_S:.1f} days"
    return look("months", told, "See docs/runbooks/PaymentMonthMissing.md")


def _replicas(standing: Standing) -> Finding:
    if standing.replicas and standing.replica_lag is None:
        advice = "GRANT pg_monitor TO the gateway's role, so that alerts see how far they are"
        return look("replicas", f"{standing.replicas}, and how far they are is hidden", advice)
    lag = standing.replica_lag or 0
    told = f"{standing.replicas}, the slowest {lag} bytes behind"
    if lag > _LAG_BYTES:
        return look("replicas", told, "See docs/runbooks/ReplicaBehind.md")
    return well("replicas", told)


def _failover(replicas: int, waits: bool) -> Finding:
    """Whether a standby that takes over has what was answered."""
    if waits and not replicas:
        advice = "See docs/runbooks/ReplicaMissing.md"
        return ill("failover", "commits wait for a standby, and none is there", advice)
    if replicas and not waits:
        advice = "Set synchronous_standby_names, as docs/high-availability.md says"
        return look(
            "failover", "commits wait for no standby: it may lack what was answered", advice
        )
    if not replicas:
        return well("failover", "no standby, and none is waited for")
    return well("failover", "commits wait for a standby")


def _keys(listed: list[keys.Key], now: datetime) -> Iterator[Finding]:
    live = [key for key in listed if key.revoked_at is None]
    roles = {key.role.name for key in live}
    lacking = [role for role in ("acquirer", "operator", "approver") if role not in roles]
    if lacking:
        advice = f"Run kopeck keys add NAME --role {lacking[0]}"
        yield look("keys", f"nobody is {', nobody is '.join(lacking)}", advice)
    both = {key.name for key in live if key.role.name == "operator"} & {
        key.name for key in live if key.role.name == "approver"
    }
    if both:
        advice = "Give approval to somebody else: whoever closed a batch cannot approve it"
        yield look("keys", f"operator and approver at once: {', '.join(sorted(both))}", advice)
    old = [key for key in live if now - key.added_at > _OLD_KEY]
    if old:
        advice = "Add a new one, hand it over, then kopeck keys revoke the old one"
        told = ", ".join(f"{key.digest} of {key.name}" for key in old[:5])
        yield look("keys", f"{len(old)} older than a year: {told}", advice)
    if not (lacking or both or old):
        yield well("keys", f"{len(live)} in force")
