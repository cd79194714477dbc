"""The metrics that dashboards rely on: names, closed labels, and counts that are true."""

import re

from gateway.telemetry import Telemetry
from tests.api.conftest import BOTH_ROADS, Gateway, payment

ROADS = BOTH_ROADS

NAMES = {
    "kopeck_payments_total": {"method", "outcome"},
    "kopeck_payment_seconds_bucket": {"le"},
    "kopeck_split_seconds_bucket": {"le"},
    "kopeck_commit_group_size_bucket": {"le"},
    "kopeck_commit_seconds_bucket": {"le"},
    "kopeck_ledger_imbalance_kopecks": set(),
    "kopeck_suspense_kopecks": set(),
    "kopeck_money_not_arrived_kopecks": set(),
    "kopeck_discrepancies_open": {"kind"},
    "kopeck_discrepancies_oldest_seconds": {"kind"},
    "kopeck_unsettled_kopecks": {"recipient_kind"},
    "kopeck_payouts_total": {"state"},
    "kopeck_http_requests_total": {"route", "status"},
    "kopeck_build_info": {"version", "kernel"},
}
SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? ([-+0-9.e]+)")


def samples(text: str) -> dict[tuple[str, str], float]:
    found = {}
    for line in text.splitlines():
        match = SAMPLE.fullmatch(line)
        if match is not None:
            found[match[1], match[2] or ""] = float(match[3])
    return found


async def test_names_labels_and_counts(region: Gateway) -> None:
    await region.pay(payment(), key="k")
    await region.pay(payment(), key="k")
    await region.pay(payment(subscriber_account="999"))
    await region.pay(payment(amount=0))
    await region.pay(payment(method={"type": "barter"}))
    await region.pay(payment(), role="operator")
    answer = await region.send("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    text = answer.content.decode()
    found = samples(text)
    for name, labels in NAMES.items():
        told = [key[1] for key in found if key[0] == name]
        assert told, name
        for one in told:
            assert set(re.findall(r'([a-z_]+)="', one)) == labels, name
    payments = {
        labels: value
        for (name, labels), value in found.items()
        if name == "kopeck_payments_total" and value
    }
    assert payments == {
        'method="card",outcome="accepted"': 1,
        'method="card",outcome="replayed"': 1,
        'method="card",outcome="suspense"': 1,
        'method="unknown",outcome="refused"': 2,
    }
    assert found["kopeck_http_requests_total", 'route="payments",status="201"'] == 3
    assert found["kopeck_http_requests_total", 'route="payments",status="403"'] == 1
    assert found["kopeck_http_requests_total", 'route="payments",status="422"'] == 2
    assert found["kopeck_payment_seconds_count", ""] == 3
    assert found["kopeck_split_seconds_count", ""] >= 1
    for personal in ("220012345", "999", "heat", "bank-op", "key-"):
        assert f'"{personal}' not in text


def test_split_buckets_go_below_a_microsecond() -> None:
    telemetry = Telemetry("0", "kernel")
    telemetry.split(80e-9, 5)
    telemetry.flush()
    for metric in telemetry.registry.collect():
        for sample in metric.samples:
            if sample.name == "kopeck_split_seconds_bucket" and sample.labels["le"] == "1e-07":
                assert sample.value == 1
                return
    raise AssertionError("Expected a bucket of 100 ns")
