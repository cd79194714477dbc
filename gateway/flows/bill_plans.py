"""The split plans of bills: found on the shelf, or compiled, numbered and put there."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from gateway.agreements import store as agreement_store
from gateway.domain.bill import SecondLevel, Structure
from gateway.domain.packed_bill import BillForm
from gateway.flows.context import Context
from gateway.journal.db_transaction import writing
from gateway.parties import store as party_store
from gateway.splitting import store as splitting_store
from gateway.splitting.plans import BillPlan, Draft, PlanKey

Levels = Mapping[tuple[str, str | None], tuple[SecondLevel, ...]]
"""Second levels that agreements say, by recipient and service; None is any service."""


async def find(
    context: Context, conn: Any, forms: Collection[BillForm]
) -> dict[BillForm, BillPlan]:
    """The plan of each form; forms that name unknown recipients are left out.

    Charges that say nothing of a second level have that of their recipient's agreement, as it is
    in force now; it stays the bill's until the bill is loaded again.
    """
    levels = await agreement_store.second_levels(conn, context.clock.now())
    keys = {form: (agreed(form.structure, levels), form.payer_category) for form in forms}
    plans = {form: context.structures.get(key) for form, key in keys.items()}
    fresh = {keys[form] for form, plan in plans.items() if plan is None}
    added = await _add(context, conn, fresh) if fresh else {}
    found = {form: plan or added.get(keys[form]) for form, plan in plans.items()}
    return {form: plan for form, plan in found.items() if plan is not None}


def agreed(structure: Structure, levels: Levels) -> Structure:
    """The structure with the second levels that agreements say where it says none."""
    if not levels:
        return structure
    return tuple(
        (service, recipient, tier, own or _level(levels, recipient, service))
        for service, recipient, tier, own in structure
    )


def _level(levels: Levels, recipient: str, service: str) -> tuple[SecondLevel, ...]:
    found = levels.get((recipient, service))
    return levels.get((recipient, None), ()) if found is None else found


async def _add(context: Context, conn: Any, fresh: Iterable[PlanKey]) -> dict[PlanKey, BillPlan]:
    """The plans of structures, those left out that name unknown recipients.

    They are committed by themselves: one that no bill comes to use does no harm.
    """
    recipients = await party_store.numbers(
        conn, set().union(*(_named(structure) for structure, _ in fresh))
    )
    drafts = {
        (structure, category): Draft(structure, recipients, category)
        for structure, category in fresh
        if _named(structure) <= recipients.keys()
    }
    async with writing(conn):
        numbers = await splitting_store.number_plans(conn, list(drafts.values()))
    plans = {key: draft.numbered(numbers[draft.digest]) for key, draft in drafts.items()}
    for key, plan in plans.items():
        context.structures.put(key, plan)
    return plans


def _named(structure: Structure) -> set[str]:
    named = {recipient for _, recipient, _, _ in structure}
    for _, _, _, second_level in structure:
        named.update(entry.recipient for entry in second_level)
    return named
