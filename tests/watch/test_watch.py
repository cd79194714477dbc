"""Ages of what waits follow the money, a look begins where the last ended, clocks are compared."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from gateway.flows import agreed_days
from gateway.telemetry import StandingGauges
from gateway.watch import Standing, Watch, store
from gateway.watch.standing import skew_of
from tests.flows.region import Region, batch_id, bill, region_in

HOUR = timedelta(hours=1)


class Ahead:
    """A clock that is moved on by hand."""

    def __init__(self) -> None:
        self.by = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by


def watch_of(region: Region, clock: Ahead, data: Path | None = None) -> Watch:
    late_from = partial(agreed_days.late_from, region.worker.context.days)
    return Watch(lambda: nullcontext(region.conn), clock, data, late_from)


async def test_suspense_is_as_old_as_its_oldest_payment_that_is_left(database_url: str) -> None:
    async with region_in(database_url) as region:
        await region.load(bill("A"))
        clock = Ahead()
        watch = watch_of(region, clock)
        assert (await watch.look()).suspense_age == 0
        first = await region.pay("p1", "nobody", 10_000)
        await region.pay("p2", "nobody", 10_000)
        clock.by = 5 * HOUR
        assert 5 * 3600 <= (await watch.look()).suspense_age < 5 * 3600 + 60
        await region.refund("r1", first.id, 4_000)
        assert (await watch.look()).suspense_age >= 5 * 3600
        await region.resolve("s1", first.id, "A")
        await region.conn.execute("ALTER TABLE payments DISABLE TRIGGER USER")
        moved = "UPDATE payments SET accepted_at = accepted_at + interval '2 hours' WHERE id <> $1"
        await region.conn.execute(moved, first.id)
        assert 3 * 3600 <= (await watch.look()).suspense_age < 3 * 3600 + 60
        second = await region.conn.fetchval("SELECT id FROM payments WHERE id <> $1", first.id)
        await region.refund("r2", second, 10_000)
        assert (await watch.look()).suspense_age == 0


async def test_a_look_does_not_read_again_what_was_done_with_long_ago(database_url: str) -> None:
    async with region_in(database_url) as region:
        old = await region.pay("p1", "nobody", 10_000)
        clock = Ahead()
        watch = watch_of(region, clock)
        await region.refund("r1", old.id, 10_000)
        clock.by = 2 * HOUR
        await watch.look()
        # Were it read again, it would be found: nothing says any more that it was given back.
        await region.conn.execute("ALTER TABLE refunds DISABLE TRIGGER USER")
        await region.conn.execute("DELETE FROM refunds")
        assert (await watch.look()).suspense_age == 0
        assert (await watch_of(region, clock).look()).suspense_age > 0


async def test_money_is_unsettled_until_its_batch_is_approved_and_then_unpaid(
    database_url: str,
) -> None:
    async with region_in(database_url) as region:
        await region.load(bill("A"))
        clock = Ahead()
        watch = watch_of(region, clock)
        await region.pay("s", "nobody", 500)
        assert (await watch.look()).unsettled_age == 0
        await region.pay("p1", "A", 50_000)
        clock.by = 3 * HOUR
        assert 3 * 3600 <= (await watch.look()).unsettled_age < 3 * 3600 + 60
        closed = await region.close("c1")
        await region.pay("p2", "A", 1_000)
        assert (await watch.look()).unsettled_age >= 3 * 3600
        assert (await watch.look()).payout_age == 0
        await region.approve("a1", batch_id(closed["id"]))
        await region.conn.execute("ALTER TABLE payments DISABLE TRIGGER USER")
        await region.conn.execute(
            "UPDATE payments SET accepted_at = accepted_at - interval '1 hour'"
            " WHERE settlement_batch = 2"
        )
        found = await watch.look()
        assert 4 * 3600 <= found.unsettled_age < 4 * 3600 + 60
        assert 3 * 3600 <= found.payout_age < 3 * 3600 + 60
        assert abs(found.statement_age - found.payout_age) < 1
        await region.conn.execute(
            "INSERT INTO bank_statements (id, format, digest, taken_at, taken_by, accounts,"
            " line_count, debits, credits, answer)"
            " SELECT gen_random_uuid(), '1c', '0123456789abcdef', now() + interval '2 hours',"
            " number, '{}', 0, 0, 0, '' FROM callers LIMIT 1"
        )
        found = await watch.look()
        assert 3600 - 60 <= found.statement_age <= 3600 + 60
        assert found.payout_age >= 3 * 3600


async def test_a_batch_of_nothing_makes_no_money_unsettled_that_is_approved(
    database_url: str,
) -> None:
    """A close of nothing is a batch as any other, and nobody needs to approve it."""
    async with region_in(database_url) as region:
        await region.load(bill("A"))
        empty = await region.close("nothing")
        assert (empty["state"], empty["payments"], empty["positions"]) == ("closed", 0, [])
        await region.pay("p", "A", 50_000)
        closed = await region.close("c")
        clock = Ahead()
        clock.by = HOUR
        watch = watch_of(region, clock)
        assert (await watch.look()).unsettled_age >= 3_600
        await region.approve("a", batch_id(closed["id"]))
        assert (await watch.look()).unsettled_age == 0
        # It may be approved all the same, and pays nobody.
        approved = await region.approve("b", batch_id(empty["id"]))
        assert (approved["state"], approved["payouts"]) == ("approved", [])


async def test_money_is_late_once_the_working_day_is_over_that_it_was_to_go_out_on(
    database_url: str,
) -> None:
    async with region_in(database_url) as region:
        await region.load(bill("A"))
        await region.pay("p", "A", 50_000)
        await region.conn.execute("ALTER TABLE payments DISABLE TRIGGER USER")
        # Taken on the evening of 31 December; nobody works before 11 January.
        taken = datetime(2026, 12, 31, 12, tzinfo=UTC)
        await region.conn.execute("UPDATE payments SET accepted_at = $1", taken)
        clock = Ahead()
        watch = watch_of(region, clock)
        over = datetime(2027, 1, 11, 17, tzinfo=UTC)
        clock.by = over - timedelta(minutes=1) - datetime.now(UTC)
        found = await watch.look()
        assert found.unsettled_age > 11 * 86_400
        assert found.settlement_late == 0
        clock.by += timedelta(hours=1)
        assert 3_500 < (await watch.look()).settlement_late < 3_600
        closed = await region.close("c")
        await region.approve("a", batch_id(closed["id"]))
        assert (await watch.look()).settlement_late == 0


async def test_a_clock_that_is_away_is_told_from_a_slow_answer() -> None:
    at = datetime(2026, 11, 24, 12, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert skew_of(at, at + second, at + 2 * second) == 0
    assert skew_of(at, at + 5 * second, at + 2 * second) == 3
    assert skew_of(at, at - 5 * second, at + 2 * second) == -5


async def test_the_server_and_the_disk_tell_of_themselves(
    database_url: str, tmp_path: Path
) -> None:
    async with region_in(database_url) as region:
        clock = Ahead()
        clock.by = -HOUR
        found = await watch_of(region, clock, tmp_path).look()
        assert 3590 < found.clock_skew <= 3600
        assert found.months_ahead > 27 * 24 * 3600
        assert 1 <= found.connections <= found.connections_max
        assert found.size > 1_000_000
        assert (found.replicas, found.replica_lag) == (0, None)
        assert set(found.counted) == set(store.COUNTED)
        assert found.disk is not None
        assert 0 < found.disk.free <= found.disk.size


def test_counts_of_the_server_go_on_when_it_begins_again() -> None:
    report = CollectorRegistry()
    gauges = StandingGauges(report)

    def shown(commits: int) -> float | None:
        counted = dict.fromkeys(store.COUNTED, 0) | {"commits": commits}
        figures = (0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 4, 0, None, counted, None, 0, 0, 0)
        gauges.show(Standing(*figures))
        return report.get_sample_value("kopeck_database_commits_total")

    assert [shown(n) for n in (1_000, 1_007, 3, 10)] == [0, 7, 7, 14]
    assert report.get_sample_value("kopeck_disk_free_bytes", {"disk": "data"}) is None


async def test_a_debt_is_as_old_as_the_batch_it_began_in(database_url: str) -> None:
    async with region_in(database_url) as region:
        await region.load(bill("A"))
        clock = Ahead()
        watch = watch_of(region, clock)
        payment = await region.pay("p", "A", 10_000)
        await region.close("b1")
        seen = await watch.look()
        assert (seen.receivable, seen.receivable_age) == (0, 0)
        await region.refund("r", payment.id, 10_000)
        await region.close("b2")
        owed = await region.number("SELECT -sum(carried_out) FROM positions")
        clock.by = 30 * HOUR
        seen = await watch.look()
        assert seen.receivable == owed > 0
        assert 30 * 3600 <= seen.receivable_age < 30 * 3600 + 60
        # It stays as old while it lasts, and is gone with the batch that nets it.
        await region.close("b3")
        assert (await watch.look()).receivable_age >= 30 * 3600
        await region.pay("q", "A", 100_000)
        await region.close("b4")
        seen = await watch.look()
        assert (seen.receivable, seen.receivable_age) == (0, 0)
