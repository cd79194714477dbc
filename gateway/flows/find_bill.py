"""The open bill of an account, with what each charge still owes."""

from gateway.bills import store as bill_store
from gateway.domain.bill import BY_WEIGHTS, REJECT, OpenBill
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.splitting import store as splitting_store
from gateway.splitting.plans import Plan
from splitcore import unpack


async def find(context: Context, account: str) -> dict[str, object]:
    """The bill; `due` is what is still owed on a charge, `billed` what it came with (kopecks)."""
    async with context.connection() as conn:
        bill = (await bill_store.find(conn, [account])).get(account)
        if bill is None:
            raise Refusal("not_found", "Expected an account with an open bill")
        await splitting_store.fetch_plans(conn, context.plans, [bill.plan])
    plan = context.plans.get(bill.plan)
    charges = _charges(bill, plan)
    return {
        "subscriber_account": account,
        "period": bill.period,
        "plan": plan.names.shown,
        "charges": charges,
        "due_total": sum(max(0, billed - paid) for billed, paid in _sums(bill)),
        "overpayment": _policy(bill.overpayment),
    }


def _sums(bill: OpenBill) -> list[tuple[int, int]]:
    return list(zip(unpack(bill.due), unpack(bill.paid), strict=True))


def _charges(bill: OpenBill, plan: Plan) -> list[dict[str, object]]:
    weights = unpack(bill.weight or bill.due)
    levels: list[list[tuple[str, int]]] = [[] for _ in plan.services]
    for (charge, _, recipient, _), ppm in zip(plan.names.parts, plan.split.part_ppm, strict=True):
        levels[charge].append((recipient, ppm))
    charges = []
    for at, (billed, paid) in enumerate(_sums(bill)):
        # The charge's own recipient stands last among its parts.
        *others, (owner, _) = levels[at]
        charges.append(
            {
                "service": plan.services[at],
                "recipient": owner,
                "due": max(0, billed - paid),
                "billed": billed,
                "paid": paid,
                "tier": plan.split.tiers[at],
                "weight": weights[at],
                "second_level": [{"recipient": id_, "ppm": ppm} for id_, ppm in others],
            }
        )
    return charges


def _policy(overpayment: int) -> object:
    if overpayment == BY_WEIGHTS:
        return "weights"
    return "reject" if overpayment == REJECT else {"charge": overpayment}
