"""A wallet's token pays once for ever: whoever sends it, wherever, whatever commits are lost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from gateway.demo.apple_wallet import AppleWallet
from gateway.demo.google_wallet import GoogleWallet
from gateway.domain.payment import METHODS, PaymentRequest, Receipt, SealedToken
from gateway.domain.refusals import Refusal, Unavailable
from gateway.flows import accept_payment
from gateway.flows.wallets import Roots, Wallets
from gateway.methods.apple_keys import apple_keys
from gateway.methods.google_keys import GoogleKeys, root_keys
from gateway.methods.private_keys import private_keys
from tests.flows.losing_wire import LOST_AFTER, LOST_BEFORE, LosingWire
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import CARD, Region, Worker, as_read, bill, receipts_of
from tests.methods.bad_tokens import APPLE_PAN, good_google

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
APPLE_PAY, GOOGLE_PAY = METHODS.index("apple_pay"), METHODS.index("google_pay")
APPLE = AppleWallet(NOW - timedelta(days=30))
GOOGLE = GoogleWallet(NOW)


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment


def wallets() -> Wallets:
    roots = Roots("google.json", root_keys)
    roots.value = root_keys(GOOGLE.root_keys())
    return Wallets(
        apple=apple_keys(APPLE.own.pem, APPLE.own.key_pem, APPLE.root.pem),
        google=GoogleKeys(GOOGLE.recipient, private_keys(GOOGLE.keys_pem)),
        google_roots=roots,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def worker(region: Region, clock: Clock) -> AsyncIterator[Worker]:
    """A worker with both wallets, and bills for accounts A and B."""
    await region.load(bill("A"), bill("B"))
    async with region.working(clock, wallets=wallets()) as made:
        yield made


def apple_token(total: int) -> object:
    return APPLE.token(APPLE.content(APPLE_PAN, total), NOW)


def google_token() -> object:
    return good_google(GOOGLE, NOW)


def asked(
    region: Region,
    key: str,
    token: object,
    amount: int = 10_000,
    *,
    account: str = "A",
    method: int = APPLE_PAY,
    caller: str = "bank",
    is_total: bool = False,
) -> PaymentRequest:
    """A payment by a wallet; its key stands for its token too."""
    request = region.payment(key, account, amount, caller=caller, method=method, is_total=is_total)
    claim = region.claim(caller, key, "payments", account, amount, method, token)
    return structs.replace(request, claim=claim, token=SealedToken(token))


async def code_of(worker: Worker, request: PaymentRequest) -> str:
    with pytest.raises(Refusal) as refused:
        await worker.intake.accept(request)
    return refused.value.code


async def stored(region: Region) -> tuple[int, int, int]:
    """Payments, spent tokens, and keys of payments."""
    return (
        await region.number("SELECT count(*) FROM payments"),
        await region.number("SELECT count(*) FROM wallet_tokens"),
        await region.number("SELECT count(*) FROM idempotency_keys WHERE route = 0"),
    )


@pytest.mark.parametrize("method", [APPLE_PAY, GOOGLE_PAY])
async def test_a_token_pays_once_whoever_sends_it(
    region: Region, worker: Worker, method: int
) -> None:
    token = apple_token(10_000) if method == APPLE_PAY else google_token()
    first = await worker.intake.accept(asked(region, "k1", token, method=method))
    shown = as_read(first.payment)["method"]
    assert shown["type"] == METHODS[method]
    assert shown["masked_pan"] in ("535375******1169", "411111******1111")
    for key, caller, account in (("k2", "bank", "A"), ("k1", "post", "A"), ("k3", "post", "B")):
        other = asked(region, key, token, method=method, caller=caller, account=account)
        assert await code_of(worker, other) == "token_replayed"
    assert await stored(region) == (1, 1, 1)
    spent = await region.conn.fetchrow("SELECT payment, subscriber_account FROM wallet_tokens")
    assert tuple(spent) == (first.payment.id, "A")
    assert await check_splits(region.conn, region.loaded) == 1
    await check_books(region.conn)


@pytest.mark.parametrize("method", [APPLE_PAY, GOOGLE_PAY])
async def test_a_repeat_is_answered_after_the_token_and_the_keys_have_gone(
    region: Region, worker: Worker, clock: Clock, method: int
) -> None:
    token = apple_token(10_000) if method == APPLE_PAY else google_token()
    first = await worker.intake.accept(asked(region, "k", token, method=method))
    clock.moment += timedelta(days=30)
    late = await worker.intake.accept(asked(region, "k", token, method=method))
    async with region.working() as other:
        unset = await other.intake.accept(asked(region, "k", token, method=method))
        assert await code_of(other, asked(region, "x", token, method=method)) == "method_invalid"
    assert (late.replayed, unset.replayed) == (True, True)
    assert as_read(late.payment) == as_read(unset.payment) == as_read(first.payment)
    assert await code_of(worker, asked(region, "y", token, method=method)) == "token_expired"
    assert await stored(region) == (1, 1, 1)


async def test_a_key_used_for_another_token_is_refused_as_reused(
    region: Region, worker: Worker
) -> None:
    await worker.intake.accept(asked(region, "k", apple_token(10_000)))
    other = asked(region, "k", apple_token(10_000))
    assert await code_of(worker, other) == "idempotency_key_reused"
    assert await stored(region) == (1, 1, 1)


async def test_of_two_workers_with_one_token_exactly_one_is_paid(
    region: Region, worker: Worker
) -> None:
    tokens = [google_token() for _ in range(24)]
    async with region.working(wallets=wallets(), clock=Clock(), group_size_max=5) as other:
        outcomes = await asyncio.gather(
            *(
                one.intake.accept(
                    asked(
                        region,
                        f"{name}{n}",
                        token,
                        100 + n,
                        account="AB"[n % 2],
                        method=GOOGLE_PAY,
                        caller=name,
                    )
                )
                for n, token in enumerate(tokens)
                for name, one in (("bank", worker), ("post", other))
            ),
            return_exceptions=True,
        )
    for first, second in zip(outcomes[::2], outcomes[1::2], strict=True):
        paid, refused = (first, second) if isinstance(first, Receipt) else (second, first)
        assert isinstance(paid, Receipt)
        assert isinstance(refused, Refusal)
        assert refused.code == "token_replayed"
    assert await stored(region) == (24, 24, 24)
    assert await check_splits(region.conn, region.loaded) == 24
    await check_books(region.conn)


async def test_one_key_sent_by_many_at_once_is_one_payment(region: Region, worker: Worker) -> None:
    token = google_token()
    async with region.working(wallets=wallets(), clock=Clock()) as other:
        outcomes = await asyncio.gather(
            *(
                one.intake.accept(asked(region, "same", token, method=GOOGLE_PAY))
                for _ in range(12)
                for one in (worker, other)
            )
        )
    assert len({payment.id for payment in receipts_of(outcomes)}) == 1
    assert sum(not outcome.replayed for outcome in outcomes) == 1
    assert await stored(region) == (1, 1, 1)


async def test_a_token_of_a_refused_payment_can_still_pay(region: Region, worker: Worker) -> None:
    await region.load(bill("R", overpayment="reject"))
    token = apple_token(1_000_000)
    refused = asked(region, "k", token, 1_000_000, account="R")
    assert await code_of(worker, refused) == "overpayment"
    assert await code_of(worker, asked(region, "k", token, 999_999)) == "token_amount_mismatch"
    assert await stored(region) == (0, 0, 0)
    await worker.intake.accept(asked(region, "k", token, 1_000_000))
    assert await stored(region) == (1, 1, 1)


async def test_a_token_twice_in_one_group_pays_with_the_one_that_is_right(
    region: Region, worker: Worker
) -> None:
    """The first is refused for its amount, so the second is not one too many."""
    token = apple_token(10_000)
    requests = [
        asked(region, "wrong", token, 10_001),
        asked(region, "right", token),
        asked(region, "late", token),
        region.payment("card", "A", 700),
    ]
    outcomes = await (await worker.intake.submit(requests))
    told = [one.code if isinstance(one, Refusal) else type(one).__name__ for one in outcomes]
    assert told == ["token_amount_mismatch", "Receipt", "token_replayed", "Receipt"]
    assert await stored(region) == (2, 1, 2)
    assert await check_splits(region.conn, region.loaded) == 2


async def test_the_total_is_what_the_payer_agreed_to(region: Region, worker: Worker) -> None:
    """A surcharge of a percent: 10 000 kopecks on the bill are 10 100 from the payer."""
    async with region.working(wallets=wallets(), clock=Clock()) as other:
        await region.conn.execute(
            "INSERT INTO surcharge_terms SELECT $1, version + 1, 10000, 0, 0, NULL, now(), 1"
            " FROM surcharge_terms WHERE method = $2",
            APPLE_PAY,
            CARD,
        )
        await region.conn.execute("UPDATE cut SET terms_version = terms_version + 1")
        without = asked(region, "k1", apple_token(10_000))
        assert await code_of(other, without) == "token_amount_mismatch"
        plus = await other.intake.accept(asked(region, "k2", apple_token(10_100)))
        whole = await other.intake.accept(
            asked(region, "k3", apple_token(10_100), 10_100, is_total=True)
        )
        held = await other.intake.accept(
            asked(region, "k4", apple_token(10_100), account="nowhere")
        )
        lost = asked(region, "k5", apple_token(10_000), account="nowhere")
        assert await code_of(other, lost) == "token_amount_mismatch"
    for receipt in (plus, whole, held):
        assert (receipt.payment.amount, receipt.payment.surcharge) == (10_000, 100)
    assert held.payment.state == "suspense"
    assert await stored(region) == (3, 3, 3)


@pytest.mark.parametrize("fates", [(LOST_BEFORE,), (LOST_AFTER,), (LOST_AFTER, LOST_BEFORE)])
async def test_a_lost_commit_does_not_find_its_own_token_used(
    region: Region, worker: Worker, tmp_path: Path, fates: tuple[str, ...]
) -> None:
    impatient = {"statement_timeout_ms": 200, "lock_timeout_ms": 100}
    async with (
        LosingWire(region.url, tmp_path).open() as wire,
        region.working(Clock(), wire.url, wallets(), **impatient) as behind,
    ):
        wire.fates = iter(fates)
        tokens = [google_token() for _ in range(4)]
        outcomes = await asyncio.gather(
            *(
                behind.intake.accept(asked(region, f"k{n}", token, method=GOOGLE_PAY))
                for n, token in enumerate(tokens)
            )
        )
        assert list(wire.fates) == []
    assert [receipt.replayed for receipt in outcomes] == [False] * 4
    assert await stored(region) == (4, 4, 4)
    assert await check_splits(region.conn, region.loaded) == 4


async def test_too_many_tokens_are_refused_before_any_is_opened(
    region: Region, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept_payment, "TOKENS_WAITING_MAX", 3)
    requests = [asked(region, f"k{n}", google_token(), method=GOOGLE_PAY) for n in range(5)]
    futures = [worker.intake.enqueue(request) for request in requests[:3]]
    for request in requests[3:]:
        with pytest.raises(Unavailable) as refused:
            worker.intake.enqueue(request)
        assert refused.value.code == "overloaded"
    receipts_of(await asyncio.gather(*futures))
    await worker.intake.accept(requests[3])
    assert await stored(region) == (4, 4, 4)


async def test_without_root_keys_nothing_is_known_of_a_token_yet(region: Region) -> None:
    """The keys' place cannot be reached: the caller is told to come again, cards go on."""
    await region.load(bill("A"))
    token = google_token()
    away = without_roots()
    async with region.working(Clock(), wallets=away) as worker:
        with pytest.raises(Unavailable) as refused:
            await worker.intake.accept(asked(region, "k", token, method=GOOGLE_PAY))
        assert refused.value.code == "unavailable"
        await worker.intake.accept(region.payment("card", "A", 700))
        assert away.google_roots is not None
        away.google_roots.value = root_keys(GOOGLE.root_keys())
        await worker.intake.accept(asked(region, "k", token, method=GOOGLE_PAY))
    assert await stored(region) == (2, 1, 2)


def without_roots() -> Wallets:
    whole = wallets()
    return Wallets(whole.apple, whole.google, Roots("https://unreachable.invalid/", root_keys))
