"""Agreements in splits: which cell charges which payment, from which moment, in every worker."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audit import report
from gateway.domain.agreement import Agreement, SecondLevelPercent, Tariff, amount_within
from gateway.domain.bill import Charge
from gateway.domain.ids import new_id
from gateway.domain.payment import METHODS, OpenedToken, Payment
from gateway.domain.refusals import Refusal
from gateway.flows import agreements, quote
from splitcore import FeeRule
from tests.flows.region import CARD, CASH, Region, Worker, bill, fingerprint, know_terms

ZONE = "Asia/Barnaul"
NOON = datetime(2026, 12, 15, 5, tzinfo=UTC)


class SetClock:
    """Stands until it is set."""

    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


def rate(ppm: int, **more: Any) -> FeeRule:
    return FeeRule(ppm, **more)


def cell(
    channel: str | None = None,
    category: str | None = None,
    above: FeeRule | None = None,
    below: FeeRule | None = None,
) -> Tariff:
    return Tariff(None if channel is None else METHODS.index(channel), category, above, below)


def version(recipient: str, *cells: Tariff, **changes: Any) -> Agreement:
    content: dict[str, Any] = {
        "recipient": recipient,
        "acquirer": None,
        "contract": "Договор",
        "valid_from": date(2026, 12, 1),
        "valid_until": None,
        "time_zone": ZONE,
        "cut_off": time(20),
        "tariffs": cells,
        "second_level": (),
        "requisites": None,
        "minimum_payout": 0,
        "carry_days": 5,
        "report_format": None,
    }
    return Agreement(**(content | changes))


async def agree(region: Region, content: Agreement, on: Worker | None = None) -> None:
    """Proposed by the operator, approved by the boss."""
    context = (on or region.worker).context
    id_ = new_id()
    op, boss = region.callers["op"], region.callers["boss"]
    claim = region.claim("op", f"propose {id_}", "agreements", content)
    await agreements.propose(context, claim, op, id_, content, False)
    claim = region.claim("boss", f"approve {id_}", "agreement_decisions", id_)
    await agreements.decide(context, claim, boss, id_, "approved", None)


async def paid(worker: Worker, region: Region, key: str, account: str, **how: Any) -> Payment:
    amount = how.pop("amount", 10_000)
    return (await worker.intake.accept(region.payment(key, account, amount, **how))).payment


def fees(payment: Payment) -> dict[str, int]:
    """What the payer paid on top, and what was withheld of each recipient."""
    found = payment.allocation
    assert found is not None
    assert payment.names is not None
    withheld = dict(zip(payment.names.recipients, found.commissions, strict=True))
    return {"above": found.surcharge} | {name: fee for name, fee in withheld.items() if fee}


async def audited(region: Region) -> None:
    async with region.conn.transaction(isolation="repeatable_read", readonly=True):
        assert (await report.audit(region.conn))["problems"] == []


HEAT = (
    cell(below=rate(20_000)),
    cell("card", above=rate(12_000), below=rate(5_000)),
    cell("cash", above=rate(0, fixed=3_000)),
    cell(category="pensioner", below=rate(30_000)),
    cell("cash", "pensioner", above=rate(1_000), below=rate(25_000)),
)
WINTER = (cell("card", above=rate(20_000)),)

# Of 100.00 to each of two recipients: channel, payer, day (Barnaul) -> kopecks on top, withheld of
# heat, withheld of waste. Waste has no agreement: 0.7777 % and 3 kopecks of it are withheld, and
# card payers pay 1 %, at least 1.00, on top of what it gets, as terms say.
MATRIX = [
    # channel   payer       day                      above heat waste
    ("card",    None,        "2026-11-30T23:59:59.999999", 200, 150,  81),
    ("card",    None,        "2026-12-01T00:00:00",   120 + 100,  50,  81),
    ("cash",    None,        "2026-12-01T00:00:00",      3_000,   0,  81),
    ("qr",      None,        "2026-12-01T00:00:00",          0, 200,  81),
    ("card",    "pensioner", "2026-12-01T00:00:00",        100, 300,  81),
    ("cash",    "pensioner", "2026-12-01T00:00:00",         10, 250,  81),
    ("qr",      "pensioner", "2026-12-01T00:00:00",          0, 300,  81),
    ("card",    "student",   "2026-12-01T00:00:00",  120 + 100,  50,  81),
    # In the last ten days of the year another version holds, with one cell alone.
    ("card",    None,        "2026-12-21T23:59:59",  120 + 100,  50,  81),
    ("card",    None,        "2026-12-22T00:00:00",  200 + 100,   0,  81),
    ("card",    "pensioner", "2026-12-25T12:00:00",  200 + 100,   0,  81),
    ("cash",    None,        "2026-12-25T12:00:00",          0, 150,  81),
    ("card",    None,        "2026-12-31T23:59:59.999999", 300, 0,  81),
    ("card",    None,        "2027-01-01T00:00:00",  120 + 100,  50,  81),
]  # fmt: skip


async def test_the_matrix_of_tariffs(region: Region) -> None:
    await agree(region, version("heat", *HEAT))
    await agree(
        region,
        version("heat", *WINTER, valid_from=date(2026, 12, 22), valid_until=date(2026, 12, 31)),
    )
    charges = (Charge("heating", "heat", 10_000), Charge("waste", "waste", 10_000))
    clock = SetClock()
    found = []
    async with region.working(clock) as worker:
        for at, (channel, payer, moment, *_) in enumerate(MATRIX):
            await region.load(bill(f"A{at}", *charges, payer_category=payer))
            clock.moment = datetime.fromisoformat(moment + "+07:00").astimezone(UTC)
            method = METHODS.index(channel)
            told = await paid(worker, region, f"p{at}", f"A{at}", amount=20_000, method=method)
            known = fees(told)
            row = (known["above"], known.get("heat", 0), known.get("waste", 0))
            found.append((channel, payer, moment, *row))
    assert found == MATRIX
    await audited(region)


async def test_a_change_between_two_payments_touches_the_second_alone(region: Region) -> None:
    clock = SetClock()
    async with region.working(clock) as worker, region.working(clock) as other:
        await region.load(bill("A"))
        await know_terms(other)
        before = await paid(worker, region, "1", "A")
        await agree(region, version("heat", cell(below=rate(100_000))), on=worker)
        # The other worker still has the terms of before in memory.
        after = await paid(other, region, "2", "A")
    assert (fees(before)["heat"], fees(after)["heat"]) != (fees(after)["heat"], 0)
    heat = await region.number("SELECT commission FROM payments WHERE id = $1", before.id)
    assert heat == before.allocation.commission  # type: ignore[union-attr]
    for payment, count in ((before, 0), (after, 1)):
        told: Any = await agreements.of_payment(region.worker.context, payment.id)
        assert [one["recipient"] for one in told["agreements"]] == ["heat"] * count
    await audited(region)


async def test_an_agreement_begins_for_workers_that_run_already(region: Region) -> None:
    """No approval comes between: midnight alone changes what is in force."""
    clock = SetClock(datetime(2026, 11, 30, 16, 59, 59, 999_999, tzinfo=UTC))
    await agree(region, version("heat", cell(below=rate(100_000))))
    async with region.working(clock) as worker:
        await region.load(bill("A", Charge("heating", "heat", 80_000)))
        first = await paid(worker, region, "1", "A")
        clock.moment += timedelta(microseconds=1)
        second = await paid(worker, region, "2", "A")
        # A clock that is set back charges by the moment that the payment says it was taken at.
        clock.moment -= timedelta(seconds=1)
        third = await paid(worker, region, "3", "A")
    assert [fees(one)["heat"] for one in (first, second, third)] == [150, 1_000, 150]
    await audited(region)


async def test_no_payment_is_split_by_a_version_unknown_when_it_changes_under_load(
    region: Region,
) -> None:
    accounts = [f"A{n}" for n in range(12)]
    await region.load(*(bill(account, Charge("heating", "heat", 10**9)) for account in accounts))
    rates = [10_000 * n for n in range(1, 7)]
    clock = SetClock()
    async with region.working(clock) as one, region.working(clock) as other:

        async def pay(worker: Worker, name: str) -> None:
            for n in range(60):
                await paid(worker, region, f"{name} {n}", accounts[n % 12], method=CASH)

        async def change() -> None:
            for ppm in rates:
                await agree(region, version("heat", cell(below=rate(ppm))), on=one)

        async with asyncio.TaskGroup() as group:
            for n in range(3):
                group.create_task(pay(one, f"1 {n}"))
                group.create_task(pay(other, f"2 {n}"))
            group.create_task(change())
    assert await region.number("SELECT count(*) FROM payments") == 360
    wrong = await region.number("""
        SELECT count(*) FROM payments AS p
        WHERE p.commission <> (
            SELECT coalesce(max(t.below_ppm), 15000) / 100
            FROM agreements_in_force(p.terms_version, p.accepted_at) AS v
            JOIN agreement_tariffs AS t ON t.agreement = v.agreement)
    """)
    assert wrong == 0
    assert await region.number("SELECT count(DISTINCT terms_version) FROM payments") > 1
    await audited(region)


async def test_a_total_and_a_refusal_under_agreements(region: Region) -> None:
    await agree(region, version("heat", cell(above=rate(10_000), below=rate(5_000))))
    clock = SetClock()
    charges = (Charge("heating", "heat", 80_000), Charge("waste", "waste", 20_000))
    async with region.working(clock) as worker:
        await region.load(bill("A", *charges), bill("B", *charges, overpayment="reject"))
        whole = await paid(worker, region, "1", "A", amount=101_000, is_total=True, method=CASH)
        # 198 kopecks too much go by the weights, so that heat gets 80,158 of it.
        assert (whole.amount, whole.surcharge) == (100_198, 802)
        context = worker.context
        told = await quote.quote(context, "B", 100_800, True, CASH, ())
        assert (told.allocation.amount, told.allocation.surcharge) == (100_000, 800)
        for total, is_total, code in (
            (100_801, True, "overpayment"),
            (10**9, True, "overpayment"),
            (100_001, False, "overpayment"),
        ):
            with pytest.raises(Refusal, match=code):
                await quote.quote(context, "B", total, is_total, CASH, ())
        with pytest.raises(Refusal, match="designation_exceeds_amount"):
            await quote.quote(context, "B", 50_000, True, CASH, (("heating", 50_000),))
        named = await quote.quote(context, "B", 50_500, True, CASH, (("heating", 50_000),))
        assert named.allocation.surcharge == 500
    await audited(region)


async def test_a_wallet_agrees_to_what_agreements_say(region: Region) -> None:
    await agree(region, version("heat", cell(above=rate(20_000))))
    clock = SetClock()
    async with region.working(clock) as worker:
        await region.load(bill("A", Charge("heating", "heat", 80_000)))
        for key, total, good in (("1", 10_100, False), ("2", 10_200, True)):
            request = region.payment(key, "A", 10_000, method=METHODS.index("apple_pay"))
            token = OpenedToken(fingerprint(key) * 2, total)
            fields = {name: getattr(request, name) for name in request.__struct_fields__}
            request = type(request)(**(fields | {"token": token}))
            if good:
                assert (await worker.intake.accept(request)).payment.surcharge == 200
            else:
                with pytest.raises(Refusal, match="token_amount_mismatch"):
                    await worker.intake.accept(request)
    assert await region.number("SELECT count(*) FROM wallet_tokens") == 1
    await audited(region)


async def test_second_levels_of_an_agreement_stand_where_a_bill_says_none(region: Region) -> None:
    level = (
        SecondLevelPercent(None, "uk", 100_000),
        SecondLevelPercent("hot water", "waste", 200_000),
    )
    own = bill("B").charges
    await agree(region, version("heat", second_level=level, valid_from=date(2026, 1, 1)))
    charges = (Charge("heating", "heat", 10_000), Charge("hot water", "heat", 10_000))
    await region.load(bill("A", *charges), bill("B", own[0]))
    shares = {
        account: {
            (share.service, share.recipient): share.amount
            for share in told.names.shares(told.allocation.parts)
        }
        for account, amount in (("A", 20_000), ("B", 80_000))
        if (told := await region.pay(account, account, amount)).names and told.allocation
    }
    assert shares["A"] == {
        ("heating", "uk"): 1_000, ("heating", "heat"): 9_000,
        ("hot water", "waste"): 2_000, ("hot water", "heat"): 8_000,
    }  # fmt: skip
    # The bill's own twentieth stands.
    assert shares["B"] == {("heating", "uk"): 4_000, ("heating", "heat"): 76_000}
    await audited(region)


async def test_suspense_is_placed_by_the_agreement_of_its_day(region: Region) -> None:
    await agree(region, version("heat", cell("card", below=rate(40_000))))
    clock = SetClock()
    async with region.working(clock) as worker:
        held = await paid(worker, region, "1", "nobody")
        assert held.allocation is None
        region.worker, before = worker, region.worker
        await region.load(bill("A", Charge("heating", "heat", 80_000)))
        await region.resolve("r", held.id, "A")
        region.worker = before
    assert await region.number("SELECT commission FROM resolutions") == 400
    await audited(region)


def ruled(ppm: int, fixed: int, least: int, room: int | None) -> FeeRule:
    return FeeRule(ppm, fixed, least, None if room is None else least + room)


RULES = st.builds(
    ruled,
    st.integers(0, 60_000),
    st.integers(0, 50),
    st.integers(0, 50),
    st.none() | st.integers(0, 5_000),
)
CELLS = st.lists(
    st.tuples(
        st.sampled_from([None, CARD, CASH]),
        st.sampled_from([None, "pensioner"]),
        st.none() | RULES,
        st.none() | RULES,
    ),
    max_size=6,
    unique_by=lambda row: row[:2],
)


def by_hand(x: int, rule: FeeRule | None) -> int:
    """A fee in exact fractions, apart from the code that is judged."""
    if rule is None or x == 0:
        return 0
    found = max(floor(Fraction(x * rule.ppm, 10**6) + Fraction(1, 2)) + rule.fixed, rule.min)
    return found if rule.max is None else min(found, rule.max)


def chosen(cells: list[Any], channel: int, payer: str | None) -> Any:
    fitting = [row for row in cells if row[0] in (None, channel) and row[1] in (None, payer)]
    return max(fitting, key=lambda row: (row[1] is not None, row[0] is not None), default=None)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cells=st.fixed_dictionaries({"heat": CELLS, "waste": CELLS}),
    payments=st.lists(
        st.tuples(
            st.sampled_from([CARD, CASH]), st.sampled_from([None, "pensioner"]),
            st.integers(1, 200_000),
        ),
        min_size=1, max_size=12,
    ),
)  # fmt: skip
async def test_cells_are_charged_as_a_few_lines_of_fractions_say(
    region: Region, cells: dict[str, list[Any]], payments: list[tuple[int, str | None, int]]
) -> None:
    clock = SetClock()
    run = new_id().hex[-12:]
    for recipient, rows in cells.items():
        tariffs = (Tariff(*row) for row in rows)
        await agree(region, version(recipient, *tariffs))
    charges = (Charge("heating", "heat", 70_000), Charge("waste", "waste", 30_001))
    await region.load(
        bill(f"{run}-", *charges), bill(f"{run}-pensioner", *charges, payer_category="pensioner")
    )
    terms = {"heat": FeeRule(15_000), "waste": FeeRule(7_777, 3, 0, 900)}
    async with region.working(clock) as worker:
        taken = await asyncio.gather(
            *(
                paid(worker, region, f"{run} {n}", f"{run}-{payer or ''}", amount=amount,
                     method=method)
                for n, (method, payer, amount) in enumerate(payments)
            )
        )  # fmt: skip
    for (method, payer, amount), told in zip(payments, taken, strict=True):
        assert told.allocation is not None
        assert told.names is not None
        gross = dict(zip(told.names.recipients, told.allocation.gross, strict=True))
        fit = {name: chosen(cells[name], method, payer) for name in gross}
        rest = sum(gross[name] for name, row in fit.items() if row is None)
        above = by_hand(rest, FeeRule(10_000, min=100) if method == CARD else None)
        above += sum(by_hand(gross[name], row[2]) for name, row in fit.items() if row)
        below = {
            name: min(gross[name], by_hand(gross[name], row[3] if row else terms[name]))
            for name, row in fit.items()
        }
        assert told.amount == amount
        assert told.surcharge == above
        withheld = dict(zip(told.names.recipients, told.allocation.commissions, strict=True))
        assert withheld == below
    await audited(region)


@given(
    total=st.integers(1, 10**6),
    ppm=st.integers(0, 10**6),
    fixed=st.integers(0, 500),
    most=st.integers(1, 10**6),
)
def test_an_amount_fits_where_one_kopeck_more_does_not(
    total: int, ppm: int, fixed: int, most: int
) -> None:
    def surcharge(kopecks: int) -> int | None:
        return None if kopecks > most else by_hand(kopecks, FeeRule(ppm, fixed))

    amount, charged = amount_within(total, 1, total, surcharge)
    least = surcharge(1) or 0
    if 1 + least > total:
        assert (amount, charged) == (0, 0)
    elif amount > most:
        # Refused by the split: the money is there, and the bill takes no more.
        assert most + 1 + (surcharge(most) or 0) <= total
    else:
        assert amount + charged == total
        assert amount + (surcharge(amount) or 0) <= total
        more = surcharge(amount + 1)
        assert amount == total or more is None or amount + 1 + more > total
