"""The judge of the crash tests sees each way in which a payment can be wrong."""

import io

import pytest

from tests.faults.history import History, Stored, complaints


@pytest.mark.parametrize(
    ("told", "rows", "complaint"),
    [
        (("pay_1", 10), [("pay_1", 10)], None),
        (("pay_1", 10), [], "acknowledged and is lost"),
        (("pay_1", 10), [("pay_2", 10)], "acknowledged as another payment"),
        (("pay_1", 10), [("pay_1", 11)], "stored as another payment"),
        (("pay_1", 10), [("pay_1", 10), ("pay_2", 10)], "taken 2 times"),
        ((None, None), [("pay_1", 10)], "no outcome"),
        ((None, None), [], "no outcome"),
    ],
)
def test_the_judge_screams(
    told: tuple[str | None, int | None],
    rows: list[tuple[str, int]],
    complaint: str | None,
) -> None:
    history = History(io.StringIO())
    sent = history.send("A1", 10)
    sent.payment, sent.total = told
    found = complaints(
        history.sent, [Stored("key-0", id_, "A1", amount, amount) for id_, amount in rows],
        settled=True,
    )  # fmt: skip
    assert len(found) == (complaint is not None)
    assert all(complaint in line for line in found if complaint)
    stray = Stored(None, "pay_9", "A1", 1, 1)
    assert "no key" in complaints([], [stray], settled=False)[0]
