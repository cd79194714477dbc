"""The split plans of bills: found on the shelf, or compiled, numbered and put there."""

from collections.abc import Collection, Iterable
from typing import Any

from gateway.domain.bill import Structure
from gateway.domain.packed_bill import BillForm
from gateway.flows.context import Context
from gateway.journal.db_transaction import writing
from gateway.parties import store as party_store
from gateway.splitting import store as splitting_store
from gateway.splitting.plans import BillPlan, Draft


async def find(
    context: Context, conn: Any, forms: Collection[BillForm]
) -> dict[BillForm, BillPlan]:
    """The plan of each form; forms that name unknown recipients are left out."""
    plans = {form: context.structures.get(form.structure) for form in forms}
    fresh = {form.structure for form, plan in plans.items() if plan is None}
    added = await _add(context, conn, fresh) if fresh else {}
    found = {form: plan or added.get(form.structure) for form, plan in plans.items()}
    return {form: plan for form, plan in found.items() if plan is not None}


async def _add(
    context: Context, conn: Any, fresh: Iterable[Structure]
) -> dict[Structure, BillPlan]:
    """The plans of structures, those left out that name unknown recipients.

    They are committed by themselves: one that no bill comes to use does no harm.
    """
    recipients = await party_store.numbers(conn, set().union(*map(_named, fresh)))
    drafts = {
        structure: Draft(structure, recipients)
        for structure in fresh
        if _named(structure) <= recipients.keys()
    }
    async with writing(conn):
        numbers = await splitting_store.number_plans(conn, list(drafts.values()))
    plans = {
        structure: draft.numbered(numbers[draft.digest]) for structure, draft in drafts.items()
    }
    for structure, plan in plans.items():
        context.structures.put(structure, plan)
    return plans


def _named(structure: Structure) -> set[str]:
    named = {recipient for _, recipient, _, _ in structure}
    for _, _, _, second_level in structure:
        named.update(entry.recipient for entry in second_level)
    return named
