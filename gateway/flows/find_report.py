"""What became of an acquirer's file, and the policy for its next ones."""

from uuid import UUID

from gateway.acquirer_reports import store
from gateway.acquirer_reports.policy import Policy
from gateway.domain.party import Caller
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.flows.take_acquirer_report import LISTED_MAX, answer


async def find(context: Context, caller: Caller, report: UUID) -> dict[str, object]:
    """A report that was taken; Refusal not_found where it is not, or is another acquirer's."""
    async with context.connection() as conn:
        row = await store.find_report(conn, report)
        if row is None or (caller.role == "acquirer" and row["caller"] != caller.number):
            raise Refusal("not_found", "Expected a report of yours")
        if row["finished_at"] is None:
            raise Refusal("not_found", "Expected a report that is taken, send its file again")
        count, found = await store.discrepancies(conn, report, LISTED_MAX)
    return answer(
        report,
        row["format"],
        row["row_count"],
        row["matched"],
        row["created"],
        count,
        found,
    )


async def acquirer(context: Context, name: str) -> int:
    """The number of the acquirer of this name; Refusal not_found."""
    async with context.connection() as conn:
        number = await store.acquirer(conn, name)
    if number is None:
        raise Refusal("not_found", "Expected the name of an acquirer")
    return number


async def policy(context: Context, name: str) -> Policy:
    """The policy in force for an acquirer; Refusal not_found."""
    number = await acquirer(context, name)
    async with context.connection() as conn:
        return await store.policy_of(conn, number)


async def set_policy(context: Context, by: Caller, name: str, told: Policy) -> None:
    """Put a policy in force for an acquirer's next files; Refusal not_found."""
    number = await acquirer(context, name)
    async with context.connection() as conn:
        await store.set_policy(conn, number, told, context.clock.now(), by.number)
