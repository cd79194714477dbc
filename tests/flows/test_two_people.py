"""Nobody is alone with requisites and fees: who changed them does not approve what they pay."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from gateway.audit import store_parties
from gateway.domain.agreement import Requisites
from gateway.domain.party import BankAccount, Caller
from gateway.domain.payment import METHODS
from gateway.domain.refusals import Refusal
from gateway.flows import batch_life, close_batch, set_terms, versions
from gateway.parties import store as party_store
from gateway.storage import keys
from splitcore import FeeRule
from tests.flows.region import CARD, Region, batch_id, bill
from tests.flows.test_agreements import agree
from tests.flows.test_agreements import version as agreement

ELSEWHERE = BankAccount("044525225", "40702810138250123017")
CASH = METHODS.index("cash")


async def people(region: Region, *names: str) -> None:
    """Keys of an operator and of an approver for each of these names."""
    for name in names:
        for role in ("operator", "approver"):
            await keys.add(region.conn, name, keys.parse_role(role))
            row = await region.conn.fetchrow(
                "SELECT number, name, role FROM callers WHERE name = $1 AND role = $2", name, role
            )
            region.callers[f"{name} {role}"] = Caller(*row.values())


async def change(region: Region, by: str, id_: str = "heat", **changes: Any) -> None:
    """The recipient as it stands, but for these, put by an operator of this name."""
    found = await party_store.find(region.conn, id_)
    assert found is not None
    caller = region.callers[f"{by} operator"]
    told = structs.replace(found[1], **changes)
    await set_terms.set_recipient(region.worker.context, caller, told, False)


async def a_batch(region: Region, key: str) -> UUID:
    await region.pay(f"p{key}", "A", 10_000)
    return batch_id((await region.close(f"c{key}"))["id"])


async def approved(region: Region, key: str, batch: UUID, by: str) -> str:
    """`approved`, or what it was refused with."""
    try:
        return str((await region.approve(key, batch, caller=f"{by} approver"))["state"])
    except Refusal as refusal:
        return refusal.detail if refusal.code == "forbidden" else refusal.code


async def told(region: Region, batch: UUID) -> list[tuple[Any, ...]]:
    """(what, of, version, by) of what only its makers have looked at."""
    found: Any = await versions.of_batch(region.worker.context, batch)
    return [
        (one["what"], one["recipient"] or one["method"], one["version"], one["set_by"])
        for one in found["changes"]
    ]


async def audited(region: Region) -> None:
    assert [problem async for problem in store_parties.broken(region.conn)] == []


@pytest.fixture
async def staffed(region: Region) -> Region:
    """A region whose first batch boss has approved: what op registered, two have looked at."""
    await people(region, "op", "ann", "ben", "cat")
    await region.load(bill("A"))
    await region.approve("first", await a_batch(region, "first"))
    return region


def told_of(what: str, of: str) -> str:
    return f"Expected another person than who changed the {what} of {of}"


async def test_a_registration_is_a_change(region: Region) -> None:
    await people(region, "op", "ann")
    await region.load(bill("A"))
    await region.pay("p", "A", 10_000)
    claim = region.claim("ann operator", "c", "settlement_batches")
    by = region.callers["ann operator"]
    answer = await close_batch.close(region.worker.context, claim, by, None)
    batch = UUID(answer.content.split(b'"id":"sb_')[1][:32].decode())
    # Somebody else closed it, but who registered is not the second person.
    assert await approved(region, "a1", batch, "op") == told_of("requisites", "centre")
    assert {row[3] for row in await told(region, batch)} == {"op"}
    assert (await region.approve("a2", batch))["state"] == "approved"
    # And what boss has looked at is op's to approve.
    second = await a_batch(region, "second")
    assert await told(region, second) == []
    await audited(region)


async def test_who_changed_an_account_does_not_approve_what_is_paid_to_it(staffed: Region) -> None:
    await change(staffed, "ann", bank_account=ELSEWHERE)
    batch = await a_batch(staffed, "1")
    assert await told(staffed, batch) == [("requisites", "heat", 2, "ann")]
    assert await approved(staffed, "a1", batch, "ann") == told_of("requisites", "heat")
    assert await approved(staffed, "a2", batch, "ben") == "approved"
    # What an approval answered for is told for ever.
    assert await told(staffed, batch) == [("requisites", "heat", 2, "ann")]
    assert await approved(staffed, "a3", await a_batch(staffed, "2"), "ann") == "approved"
    await audited(staffed)


async def test_a_change_between_close_and_approval_counts(staffed: Region) -> None:
    batch = await a_batch(staffed, "1")
    await change(staffed, "ann", bank_account=ELSEWHERE)
    assert await approved(staffed, "a1", batch, "ann") == told_of("requisites", "heat")
    assert await approved(staffed, "a2", batch, "ben") == "approved"
    paid = await staffed.conn.fetchval(
        "SELECT account FROM payouts WHERE settlement_batch = 2 AND name = 'ООО heat'"
    )
    assert paid == ELSEWHERE.number
    await audited(staffed)


async def test_a_change_is_not_laundered_by_the_next_one(staffed: Region) -> None:
    before = (await party_store.find(staffed.conn, "heat"))[1].bank_account  # type: ignore[index]
    await change(staffed, "ann", bank_account=ELSEWHERE)
    await change(staffed, "ben", name="ООО «Тепло»")
    batch = await a_batch(staffed, "1")
    for who in ("ann", "ben"):
        assert await approved(staffed, f"a{who}", batch, who) == told_of("requisites", "heat")
    # Nor by putting it back, as long as it was changed again.
    await change(staffed, "ann", bank_account=before)
    assert await approved(staffed, "a1", batch, "ann") == told_of("requisites", "heat")
    assert await approved(staffed, "a2", batch, "cat") == "approved"
    # What somebody else has approved is not for ever: the same account again is a new change.
    await change(staffed, "ann", bank_account=ELSEWHERE)
    second = await a_batch(staffed, "2")
    assert await approved(staffed, "a3", second, "ann") == told_of("requisites", "heat")
    assert await approved(staffed, "a4", second, "ben") == "approved"
    await audited(staffed)


async def test_two_people_who_both_changed_something_confirm_each_other(staffed: Region) -> None:
    context = staffed.worker.context
    await change(staffed, "ann", bank_account=ELSEWHERE)
    await change(staffed, "ben", name="ООО «Тепло»")
    batch = await a_batch(staffed, "1")

    async def confirm(who: str, version: int, key: str) -> None:
        claim = staffed.claim(f"{who} approver", key, "recipient_confirmations", version)
        by = staffed.callers[f"{who} approver"]
        await versions.confirm_recipient(context, claim, by, "heat", version)

    for who, own in (("ann", 2), ("ben", 3)):
        with pytest.raises(Refusal, match=r"forbidden.*made the change"):
            await confirm(who, own, f"own {who}")
    with pytest.raises(Refusal, match="not_found"):
        await confirm("ann", 4, "none")
    # Who confirms a later version has seen all of it: ann's change stands in ben's.
    await confirm("ann", 3, "k1")
    assert await told(staffed, batch) == [("requisites", "heat", 2, "ann")]
    assert await approved(staffed, "a1", batch, "ann") == told_of("requisites", "heat")
    await confirm("ben", 2, "k2")
    await confirm("ben", 2, "k3")
    assert await told(staffed, batch) == []
    assert await approved(staffed, "a2", batch, "ann") == "approved"
    (last, before, _) = await versions.of_recipient(context, "heat", 1_000, 10)
    assert (last["confirmed_by"], before["confirmed_by"]) == (["ann"], ["ben"])
    await audited(staffed)


async def test_what_a_batch_does_not_pay_by_does_not_count(staffed: Region) -> None:
    account = BankAccount("049401601", "40702810268000010356")
    # waste has no position; and under an agreement's requisites the recipient's own are not used.
    await change(staffed, "ann", "waste", bank_account=account)
    requisites = Requisites("ООО Т", "7707083893", None, ELSEWHERE)
    await agree(staffed, agreement("heat", valid_from=date(2026, 1, 1), requisites=requisites))
    await change(staffed, "ann", bank_account=BankAccount("044525225", "40702810138250123017"))
    await staffed.load(bill("A", *bill("A").charges[2:], period="2026-11"))
    batch = await a_batch(staffed, "1")
    assert await told(staffed, batch) == []
    assert await approved(staffed, "a1", batch, "ann") == "approved"
    used = await staffed.conn.fetch(
        "SELECT version, agreement IS NOT NULL FROM requisites_used"
        " WHERE settlement_batch = 2 AND NOT is_payer"
    )
    assert [tuple(row) for row in used] == [(None, True)]
    await audited(staffed)


async def test_who_changed_the_centres_own_account_approves_nothing(staffed: Region) -> None:
    account = BankAccount("049401601", "40702810268000010356")
    await change(staffed, "ann", "centre", bank_account=account)
    batch = await a_batch(staffed, "1")
    assert await approved(staffed, "a1", batch, "ann") == told_of("requisites", "centre")
    assert await approved(staffed, "a2", batch, "ben") == "approved"
    await audited(staffed)


async def test_who_changed_a_commission_does_not_approve_what_it_was_taken_from(
    staffed: Region,
) -> None:
    before = await a_batch(staffed, "1")
    await change(staffed, "ann", commission=FeeRule(ppm=500_000))
    # It was closed under what stood before.
    assert await approved(staffed, "a1", before, "ann") == "approved"
    charged = await a_batch(staffed, "2")
    assert await told(staffed, charged) == [("commission", "heat", 2, "ann")]
    assert await approved(staffed, "a2", charged, "ann") == told_of("commission", "heat")
    claim = staffed.claim("ben approver", "no", "cancellations")
    by = staffed.callers["ben approver"]
    await batch_life.cancel(staffed.worker.context, claim, by, charged, "wrong day")
    # What was cancelled unapproved is owed again, and was charged as it was.
    again = await a_batch(staffed, "3")
    assert await approved(staffed, "a3", again, "ann") == told_of("commission", "heat")
    assert await approved(staffed, "a4", again, "ben") == "approved"
    assert await approved(staffed, "a5", await a_batch(staffed, "4"), "ann") == "approved"
    await audited(staffed)


async def test_who_changed_a_surcharge_does_not_approve_what_it_was_taken_by(
    staffed: Region,
) -> None:
    context = staffed.worker.context
    before = await a_batch(staffed, "1")
    for who, method in (("ann", CARD), ("ben", CASH)):
        by = staffed.callers[f"{who} operator"]
        await set_terms.set_surcharge(context, by, method, FeeRule(ppm=20_000))
    assert await approved(staffed, "a1", before, "ann") == "approved"
    batch = await a_batch(staffed, "2")
    (_, of, card, _), cash = await told(staffed, batch)
    assert (of, cash[1], cash[3]) == ("card", "cash", "ben")
    assert await approved(staffed, "a2", batch, "ann") == told_of("surcharge", "card")
    assert await approved(staffed, "a3", batch, "ben") == told_of("surcharge", "cash")
    for who, method, version in (("ann", CASH, cash[2]), ("ben", CARD, card)):
        claim = staffed.claim(f"{who} approver", f"k{who}", "surcharge_confirmations", method)
        by = staffed.callers[f"{who} approver"]
        await versions.confirm_surcharge(context, claim, by, method, version)
        claim = staffed.claim(f"{who} approver", f"n{who}", "surcharge_confirmations", version)
        other = (CASH + CARD - method, card + cash[2] - version)
        with pytest.raises(Refusal, match=r"forbidden.*made the change"):
            await versions.confirm_surcharge(context, claim, by, *other)
        with pytest.raises(Refusal, match="not_found"):
            await versions.confirm_surcharge(context, claim, by, method, other[1])
    assert await approved(staffed, "a4", batch, "ann") == "approved"
    await audited(staffed)


async def test_what_is_paid_is_what_was_looked_at_while_it_is_changed(staffed: Region) -> None:
    """Changes beside an approval are in it and looked at, or for the next one."""
    accounts = (ELSEWHERE, BankAccount("049401601", "40702810268000010356"))
    for round_ in range(8):
        batch = await a_batch(staffed, f"{round_}")
        await asyncio.gather(
            change(staffed, "ann", bank_account=accounts[round_ % 2]),
            approved(staffed, f"a{round_}", batch, "ben"),
        )
        await audited(staffed)
    assert await staffed.number("SELECT count(*) FROM payouts WHERE name = 'ООО heat'") == 9


async def test_what_was_changed_past_its_versions_is_not_paid(staffed: Region) -> None:
    await staffed.conn.execute(
        "UPDATE recipients SET bic = $1, account = $2 WHERE id = 'heat'",
        ELSEWHERE.bic,
        ELSEWHERE.number,
    )
    batch = await a_batch(staffed, "1")
    with pytest.raises(Refusal, match=r"state_conflict.*set this recipient again"):
        await staffed.approve("a1", batch)
    # Set again as it stands, it is somebody's, and is looked at as any change.
    await change(staffed, "ann")
    assert await told(staffed, batch) == [("requisites", "heat", 2, "ann")]
    assert await approved(staffed, "a2", batch, "ann") == told_of("requisites", "heat")
    assert await approved(staffed, "a3", batch, "ben") == "approved"
    await audited(staffed)
