"""The number of series has a bound, no label holds what callers send, and the page has them all."""

import random
import re
import secrets
import string

import asyncpg
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics import MetricWrapperBase

from gateway.api import table
from gateway.api.door import UNMATCHED
from gateway.api.problems import PROBLEMS
from gateway.room_telemetry import RoomTelemetry
from gateway.supervisor import metrics as supervisor
from gateway.telemetry import Telemetry
from tests.api.conftest import Gateway, payment
from tests.api.test_metrics import samples
from tests.rules.sources import ROOT

PAGE = ROOT / "docs" / "metrics.md"
# As the page states it, for a gateway of however many workers.
SERIES_MAX = 5_000
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
# Labels whose values are numbers or versions; the others are words of closed lists.
FREE = {"le", "version"}
WORD = re.compile(r"[a-z][a-z0-9_-]*|[A-Z]+")


def registered() -> CollectorRegistry:
    """Every metric of a gateway: of a worker, of its rooms, of the supervisor."""
    made = Telemetry("0.0.0", "kernel")
    RoomTelemetry(made.registry)
    return made.registry


def rows() -> dict[str, str]:
    """Name → the row that the page must have."""
    made = {}
    registry = registered()
    Counter(supervisor.RESTARTS, supervisor.RESTARTS_TOLD, ["process"], registry=registry)
    for metric in list(registry._collector_to_names):
        assert isinstance(metric, MetricWrapperBase)
        (family,) = metric.describe()
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = ", ".join(metric._labelnames)
        made[name] = f"| `{name}` | {family.type} | {labels} | {family.documentation} |"
    return made


def test_the_page_lists_every_series_and_no_other() -> None:
    told = [line for line in PAGE.read_text().splitlines() if line.startswith("| `kopeck_")]
    assert told == [row for _, row in sorted(rows().items())]


def test_the_page_states_the_bound() -> None:
    assert f"{SERIES_MAX:,}" in PAGE.read_text()


def test_the_bound_holds_whatever_is_asked() -> None:
    """Every route with every status that it could have, and all that is made beforehand."""
    routes = {route.name for route in table.routes()} | {UNMATCHED}
    statuses = {200, 201, 202, 204, 304, *(status for status, _ in PROBLEMS.values())}
    telemetry = Telemetry("0.0.0", "kernel")
    RoomTelemetry(telemetry.registry)
    for route in routes:
        telemetry._requests.labels(route, "200")
        telemetry.took(route, 0.1)
    telemetry.flush()
    made = sum(
        len(family.samples)
        for family in telemetry.registry.collect()
        if not family.name.endswith("_created")
    )
    assert made + len(routes) * (len(statuses) - 1) <= SERIES_MAX


def noise(dice: random.Random) -> str:
    return "".join(dice.choices(string.ascii_letters + string.digits, k=12))


async def storm(gateway: Gateway, dice: random.Random, callers: list[str]) -> set[str]:
    """Asks for what nobody has, as everybody, under every sort of name; what was sent."""
    sent = set()
    for secret in callers:
        told = [noise(dice) for _ in range(9)]
        sent |= {*told, secret}
        auth = {"Authorization": f"Bearer {secret}"}
        await gateway.send("GET", f"/{told[0]}/{told[1]}?{told[2]}={told[3]}", headers=auth)
        await gateway.send(dice.choice(["PUT", "DELETE"]), f"/v1/{told[0]}", {}, headers=auth)
        await gateway.send("GET", f"/v1/payments/{told[4]}", headers=auth)
        await gateway.send("GET", f"/v1/bills/{told[5]}", headers=auth)
        await gateway.send("GET", f"/osmp/{told[6]}?command={told[7]}&account={told[8]}")
        await gateway.send("GET", f"/osmp/{secret}?command={told[7]}&account={told[8]}")
        await gateway.send("GET", "/v1/payments", headers={"Authorization": f"Bearer {told[0]}"})
        for body in (
            payment(subscriber_account=told[5], reference=told[6]),
            payment(method={"type": told[7]}),
            payment(amount=told[8]),
        ):
            await gateway.send("POST", "/v1/payments", body, key=noise(dice), headers=dict(auth))
    return sent


async def callers(gateway: Gateway, count: int) -> list[str]:
    """Secrets of so many new acquirers."""
    made = []
    conn = await asyncpg.connect(gateway.database_url)
    try:
        for _ in range(count):
            secret = f"kp_{secrets.token_hex(16)}"
            number = await conn.fetchval(
                "INSERT INTO callers (name, role) VALUES ($1, 'acquirer') RETURNING number",
                f"storm-{secrets.token_hex(4)}",
            )
            await conn.execute(
                "INSERT INTO api_keys (secret_sha256, caller) VALUES (sha256($2), $1)",
                number,
                secret.encode(),
            )
            made.append(secret)
    finally:
        await conn.close()
    return made


async def test_a_storm_of_names_makes_no_series(region: Gateway) -> None:
    dice = random.Random(7)
    await storm(region, dice, await callers(region, 3))
    # Its own answer is a series too, from the second time on.
    await region.send("GET", "/metrics")
    few = samples((await region.send("GET", "/metrics")).content.decode())
    sent = await storm(region, dice, await callers(region, 40))
    text = (await region.send("GET", "/metrics")).content.decode()
    many = samples(text)
    assert many.keys() == few.keys()
    assert len(many) <= SERIES_MAX
    assert 'kopeck_http_requests_total{route="unmatched",status="404"}' in text
    for word in (*sent, "220012345", "storm-", *region.secrets.values(), "heat"):
        assert f'"{word}' not in text
    values = {(name, value) for labels in many for name, value in LABEL.findall(labels[1])}
    odd = {one for one in values if one[0] not in FREE | {"status"} and not WORD.fullmatch(one[1])}
    assert odd == set()
    assert all(re.fullmatch(r"\d{3}", value) for name, value in values if name == "status")


async def test_an_account_would_be_found_among_labels(region: Gateway) -> None:
    """The look at labels can fail."""
    region.door._house.telemetry.answered("220012345", 200)
    text = (await region.send("GET", "/metrics")).content.decode()
    assert '"220012345' in text
    values = {value for labels in samples(text) for _, value in LABEL.findall(labels[1])}
    assert not WORD.fullmatch("220012345")
    assert "220012345" in values
