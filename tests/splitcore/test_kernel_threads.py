"""A group that one thread runs without the GIL is closed to the others until it is done."""

import threading

from splitcore import PPM, FeeRule, pack
from splitcore._kernel import Fees, Group, Plan

PAYMENTS = 20_000


def filled() -> Group:
    plan = Plan([0] * 8, list(range(8)), [[(0, PPM)]] * 8)
    group = Group()
    due = pack([10**6] * 8)
    bill = group.add_bill(plan, Fees([FeeRule(ppm=10_000)]), due, None, pack([0] * 8), -1)
    for i in range(PAYMENTS):
        group.add_payment(bill, 1 + i % 9, False, None, None)
    return group


def test_nothing_is_added_to_a_running_group() -> None:
    refusals = 0
    for _ in range(50):  # a thread may be done before the other one looks
        group = filled()
        running = threading.Thread(target=group.run)
        running.start()
        added = 0
        try:
            while running.is_alive():
                group.add_payment(0, 1, False, None, None)
                added += 1
        except RuntimeError:
            refusals += 1
        running.join()
        group.run()
        assert group.amount(PAYMENTS - 1) == 1 + (PAYMENTS - 1) % 9
        assert all(group.amount(PAYMENTS + i) == 1 for i in range(added))
        if refusals:
            break
    assert refusals
