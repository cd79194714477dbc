"""The machine's own gate before money leaves (pure): an approval cannot bypass it.

People approve hundreds of days and see what they expect to see; the machine compares, recipient by
recipient. Only what a person may know better can be overridden, by name and with a reason.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from gateway.domain.refusals import Refusal

HISTORY_MAX: Final = 30
# So many are told by name; whoever approves then looks at all of them anyway.
TOLD_MAX: Final = 5


class Limits(Struct, frozen=True):
    """Kopecks that one batch may pay at most, and what is unlikely, in kopecks and times.

    A batch, or an order, above its `…from` is a jump where it is more than `jump_times` the
    greatest of those before, once there are `jump_after` of them. `first_from` is of recipients
    who were never paid, `changed_from` of those whose account is not the one that was paid last.
    """

    most: int
    jump_times: int
    jump_after: int
    jump_from: int
    order_jump_from: int
    first_from: int
    changed_from: int


class Stands(Struct, frozen=True):
    """What a batch says of one recipient: kopecks it pays, and carries on; whether it may carry
    money on, since it waits for its minimum or is held.
    """

    payable: int
    carried_out: int
    may_wait: bool


class Asked(Struct, frozen=True):
    """One order of a batch: kopecks, and the account that it goes to."""

    amount: int
    account: str


class Habit(Struct, frozen=True):
    """What a recipient was paid before: how often and the most of it, as far as is looked back,
    and the account that was paid last.
    """

    payouts: int
    greatest: int
    account: str


def hold(owed: Mapping[str, int], together: int, stands: Mapping[str, Stands]) -> None:
    """Refuses ledger_mismatch unless each recipient is paid, or carries on, what it is owed.

    `owed` is what the journal owes to each (kopecks, below zero what it owes), `together` the same
    money of the batch less what came before, in one sum by the double entry; see `payout_gate`.
    """
    for recipient in sorted(owed.keys() | stands.keys()):
        due = owed.get(recipient, 0)
        said = stands.get(recipient, Stands(0, 0, may_wait=False))
        if said.payable:
            fits = said.payable == due and said.carried_out == 0
        else:
            fits = said.carried_out == due and (due <= 0 or said.may_wait)
        if not fits:
            raise Refusal(
                "ledger_mismatch",
                f"Expected {due} kopecks for {recipient}, as the ledger owes, was"
                f" {said.payable} to pay and {said.carried_out} to carry on",
            )
    if together != 0:
        raise Refusal(
            "ledger_mismatch",
            f"Expected what recipients are owed to be what the double entry says, was {together}"
            " kopecks more",
        )


def hold_orders(stands: Mapping[str, Stands], orders: Iterable[tuple[str, int]]) -> None:
    """Refuses ledger_mismatch unless there is one order for each recipient that is paid, of as
    many kopecks.
    """
    wanted = {recipient: one.payable for recipient, one in stands.items() if one.payable}
    for recipient, amount in orders:
        due = wanted.pop(recipient, 0)
        if amount != due:
            raise Refusal(
                "ledger_mismatch",
                f"Expected an order of {due} kopecks for {recipient}, was {amount}",
            )
    if wanted:
        raise Refusal("ledger_mismatch", f"Expected an order for {min(wanted)}, was none")


def check(
    orders: Mapping[str, Asked],
    before: Sequence[int],
    habits: Mapping[str, Habit],
    limits: Limits,
    *,
    restored: bool,
    named: bool,
) -> None:
    """Refuses state_conflict above the limits.

    All in kopecks; `before` are sums of batches paid before. `named` is true where the approver has
    given a reason, which lets what is unlikely pass and a batch out of a backup, and nothing else.
    """
    paid = sum(order.amount for order in orders.values())
    if paid > limits.most:
        raise Refusal("state_conflict", f"Expected at most {limits.most} kopecks in a batch")
    if named:
        return
    if restored:
        raise Refusal(
            "state_conflict",
            "Expected an override with a reason: this batch, or one cancelled that it pays for,"
            " came out of a backup and may have been paid since",
        )
    found = [] if not before else list(_unlikely(orders, before, habits, limits))
    if found:
        more = "" if len(found) <= TOLD_MAX else f"; and {len(found) - TOLD_MAX} more"
        told = "; ".join(found[:TOLD_MAX])
        raise Refusal("state_conflict", f"Expected an override with a reason: {told}{more}")


def _unlikely(
    orders: Mapping[str, Asked],
    before: Sequence[int],
    habits: Mapping[str, Habit],
    limits: Limits,
) -> Iterable[str]:
    """What a person should know of; of a centre that has paid nobody yet, nothing is unusual."""
    paid = sum(order.amount for order in orders.values())
    is_known = len(before) >= limits.jump_after
    if is_known and paid > limits.jump_from and paid > limits.jump_times * max(before):
        yield f"this batch is more than {limits.jump_times} times the greatest before it"
    for recipient, order in sorted(orders.items()):
        habit = habits.get(recipient)
        told = f"{order.amount} kopecks to {recipient} are"
        if habit is None:
            if order.amount > limits.first_from:
                yield f"{told} its first payout"
            continue
        if order.account != habit.account and order.amount > limits.changed_from:
            yield f"{told} for another account than was paid last"
        if (
            habit.payouts >= limits.jump_after
            and order.amount > limits.order_jump_from
            and order.amount > limits.jump_times * habit.greatest
        ):
            yield f"{told} more than {limits.jump_times} times the greatest before"
