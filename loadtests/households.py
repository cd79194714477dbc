"""Bills and payers of a region, the same for the same seed.

Every bill has eight charges of one tier, as an unaddressed partial payment is split by law; houses
of one district share their suppliers, so that many bills share one split plan.
"""

import random
from array import array
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import orjson

from gateway.domain.requisites import account_with_key, inn_with_check_digits

CHARGES = 8
PERIOD = "2026-10"
BIC = "040173604"
DISTRICTS = 6
COMPANIES = 8
# Service, whose charge it is, and the month's dues in kopecks from about the least to the most.
SERVICES = (
    ("heating", "heat-{district}", 90_000, 420_000),
    ("hot_water", "heat-{district}-water", 20_000, 110_000),
    ("cold_water", "vodokanal", 8_000, 60_000),
    ("sewage", "vodokanal-sewage", 6_000, 50_000),
    ("electricity", "energosbyt", 30_000, 240_000),
    ("waste", "waste-{district}", 9_000, 36_000),
    ("maintenance", "company-{company}", 60_000, 240_000),
    ("capital_repair", "capital-repair", 20_000, 95_000),
)
PlaceOf = Callable[[int], dict[str, int]]
KINDS = {"company": "management_company", "waste": "regional_operator"}


def recipients(companies: int = COMPANIES) -> list[dict[str, Any]]:
    """Bodies of PUT /v1/recipients/{id}, `id` among their members."""
    names = sorted(
        {
            template.format(district=district, company=company)
            for _, template, _, _ in SERVICES
            for district in range(DISTRICTS)
            for company in range(companies)
        }
    )
    return [
        {
            "id": name,
            "name": f"АО «{name}»",
            "kind": KINDS.get(name.partition("-")[0], "supplier"),
            "inn": inn_with_check_digits(f"2221{number:05}"),
            "bank_account": {
                "bic": BIC,
                "number": account_with_key(f"407028100{number:011}", BIC),
            },
        }
        for number, name in enumerate(names, 1)
    ]


def account(number: int) -> str:
    """The subscriber account of the number-th household."""
    return f"22{number:07}"


def scattered(number: int) -> dict[str, int]:
    """District and management company of the number-th household, all over the region."""
    return {"district": number % DISTRICTS, "company": number // 7 % COMPANIES}


def bills(
    count: int, seed: int = 1, first: int = 0, place_of: PlaceOf = scattered
) -> Iterator[dict[str, Any]]:
    """Open bills of `count` households, the first of them number `first`."""
    dice = random.Random(seed)
    for number in range(first, first + count):
        place = place_of(number)
        yield {
            "subscriber_account": account(number),
            "period": PERIOD,
            "charges": [
                {
                    "service": service,
                    "recipient": template.format(**place),
                    "due": dice.randint(least, most),
                }
                for service, template, least, most in SERVICES
            ],
        }


@lru_cache(maxsize=2)
def _scattered(accounts: int) -> "array[int]":
    """Households in a scattered order; of a million it takes half a second."""
    order = array("I", range(accounts))
    random.Random(accounts).shuffle(order)
    return order


def payments(
    accounts: int, count: int, run: str, first: int = 0, base: int = 0
) -> Iterator[dict[str, Any]]:
    """Bodies of payments by card, `idempotency_key` among their members: `run` keeps keys apart.

    Those who pay are `accounts` households from number `base` on. They follow each other in a
    scattered order, each paying again only when all have paid; an amount is a small part of the
    bill, so that all eight charges get a share every time.
    """
    dice = random.Random(f"{run}/{first}")
    order = _scattered(accounts)
    for number in range(first, first + count):
        yield {
            "idempotency_key": f"{run}-{number:08}",
            "subscriber_account": account(base + order[number % accounts]),
            "amount": dice.randint(1_000, 30_000),
            "currency": "RUB",
            "paid_at": "2026-11-12T09:31:07+07:00",
            "method": {
                "type": "card",
                "network": "visa",
                "masked_pan": f"427644******{dice.randint(0, 9999):04}",
                "rrn": f"{dice.randint(0, 10**12 - 1):012}",
                "authorization_code": f"{dice.randint(0, 999_999):06}",
            },
            "reference": f"{run}-op-{number}",
        }


def report_file(bodies: Iterator[dict[str, Any]], day: str = "11-11-2026") -> bytes:
    """The same payments as a bank's file at the end of a day, windows-1251."""
    lines = []
    amount = 0
    for number, body in enumerate(bodies):
        at = f"{number // 3600 % 24:02}-{number // 60 % 60:02}-{number % 60:02}"
        roubles = f"{body['amount'] // 100},{body['amount'] % 100:02}"
        amount += body["amount"]
        lines.append(
            f"{day};{at};8644/0123;4;{body['reference']};{body['subscriber_account']};"
            f"Иванов Иван Иванович;г. Барнаул, ул. Ленина, д. {number % 200};1026;"
            f"{roubles};{roubles};0,00"
        )
    total = f"{amount // 100},{amount % 100:02}"
    lines.append(f"={len(lines)};{total};{total};0,00;778;{day}")
    return "\r\n".join([*lines, ""]).encode("cp1251")


def single_requests(secret: str, bodies: Iterator[dict[str, Any]]) -> list[bytes]:
    """One payment a request: the bytes of POST /v1/payments."""
    requests = []
    for body in bodies:
        key = body.pop("idempotency_key")
        head = f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\n"
        requests.append(request("/v1/payments", secret, head, orjson.dumps(body)))
    return requests


def bulk_request(
    secret: str, bodies: Iterator[dict[str, Any]], path: str, key: str, *, brief: bool = False
) -> bytes:
    """Many payments or bills in one request, a JSON object a line; `brief` outcomes come without
    the payments themselves.
    """
    content = b"".join(orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE) for body in bodies)
    head = f"Idempotency-Key: {key}\r\nContent-Type: application/x-ndjson\r\n"
    head += "Prefer: return=minimal\r\n" if brief else ""
    return request(path, secret, head, content)


def request(path: str, secret: str, head: str, content: bytes) -> bytes:
    """The bytes of one POST on a connection that stays open."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {secret}\r\n{head}"
        f"Content-Length: {len(content)}\r\n\r\n"
    ).encode() + content
