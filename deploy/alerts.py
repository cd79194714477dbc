"""Every alert, with the series it fires on and those it must stay silent on; read by generate.py.

An alert says that somebody has to do something, and its runbook, docs/runbooks/NAME.md, says what.
"page" wakes somebody, "ticket" waits for the morning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# What we promise payers over thirty days: so many payments taken, so many of them within 250 ms.
AVAILABLE = 0.999
QUICK = 0.99
QUICK_S = "0.25"

# Counted by answers, as a payment that is refused for want of room is no payment yet.
_ALL = 'kopeck_http_requests_total{route="payments"}'
_BAD = 'kopeck_http_requests_total{route="payments",status=~"5.."}'
# How often what is recorded is counted again → over which windows.
WINDOWS = {"1m": ("5m", "1h"), "5m": ("2h", "1d")}
_HOUR = 3_600
_DAY = 86_400


@dataclass(frozen=True)
class Alert:
    """One alert; series are Prometheus' notation of a test, a sample every so often."""

    name: str
    expr: str
    holds: str
    severity: str
    summary: str
    firing: Mapping[str, str]
    silent: Mapping[str, str]
    at: str = "3h"
    # Between two samples of the series.
    every: str = "1m"
    # Labels that the expression leaves on what fires.
    labels: Mapping[str, str] | None = None


def recorded(windows: Sequence[str]) -> dict[str, str]:
    """The share of payments that went wrong, and that were slow, over each window."""
    rules = {}
    for window in windows:
        rules[f"kopeck:payment_errors:ratio{window}"] = (
            f"sum(rate({_BAD}[{window}])) / sum(rate({_ALL}[{window}]))"
        )
        rules[f"kopeck:payments_slow:ratio{window}"] = (
            f'1 - sum(rate(kopeck_payment_seconds_bucket{{le="{QUICK_S}"}}[{window}]))'
            f" / sum(rate(kopeck_payment_seconds_count[{window}]))"
        )
    return rules


def alerts() -> list[Alert]:
    """All of them, in the order of the runbooks' list."""
    return [*_payers(), *_money(), *_settlement(), *_machine()]


def _burn(what: str, budget: float, pace: float, long: str, short: str) -> str:
    bound = f"{pace:g} * {budget:g}"
    return f"kopeck:{what}:ratio{long} > {bound} and kopeck:{what}:ratio{short} > {bound}"


def _paid(taken: str, failed: str, samples: int) -> dict[str, str]:
    series = 'kopeck_http_requests_total{{route="payments",status="{}"}}'
    return {
        series.format("201"): f"0+{taken}x{samples}",
        series.format("503"): f"0+{failed}x{samples}",
    }


def _took(quick: str, every: str, samples: int) -> dict[str, str]:
    return {
        f'kopeck_payment_seconds_bucket{{le="{QUICK_S}"}}': f"0+{quick}x{samples}",
        "kopeck_payment_seconds_count": f"0+{every}x{samples}",
    }


def _payers() -> list[Alert]:
    errors, slow = round(1 - AVAILABLE, 6), round(1 - QUICK, 6)
    # At night one lost payment is a large share of few; nobody is woken for less than five.
    some = f" and sum(increase({_BAD}["
    return [
        Alert(
            "PaymentErrorBudgetFast",
            _burn("payment_errors", errors, 14.4, "1h", "5m") + some + "1h])) > 5",
            "2m",
            "page",
            "Payments fail so often that a month's budget is gone in two days",
            _paid("600", "20", 200),
            _paid("600", "2", 200),
        ),
        Alert(
            "PaymentErrorBudgetSlow",
            _burn("payment_errors", errors, 3, "1d", "2h") + some + "1d])) > 5",
            "15m",
            "ticket",
            "Payments fail so often that a month's budget is gone in ten days",
            _paid("3000", "15", 320),
            _paid("3000", "5", 320),
            at="25h",
            every="5m",
        ),
        Alert(
            "PaymentLatencyBudgetFast",
            _burn("payments_slow", slow, 14.4, "1h", "5m"),
            "2m",
            "page",
            "Payments are slow so often that a month's budget is gone in two days",
            _took("480", "600", 200),
            _took("580", "600", 200),
        ),
        Alert(
            "PaymentLatencyBudgetSlow",
            _burn("payments_slow", slow, 3, "1d", "2h"),
            "15m",
            "ticket",
            "Payments are slow so often that a month's budget is gone in ten days",
            _took("570", "600", 320),
            _took("590", "600", 320),
            at="25h",
            every="5m",
        ),
    ]


def _money() -> list[Alert]:
    imbalance = "kopeck_ledger_imbalance_kopecks"
    proved = "kopeck_ledger_proved_timestamp_seconds"
    return [
        Alert(
            "LedgerImbalance",
            f"max(abs({imbalance})) > 0",
            "0m",
            "page",
            "Debits and credits differ: stop payouts",
            {imbalance: "0x100 -1x100"},
            {imbalance: "0x200"},
        ),
        Alert(
            "LedgerNotProved",
            f"time() - max({proved}) > 900",
            "5m",
            "page",
            "Nobody has found the ledger in balance for a quarter of an hour",
            {proved: "0+60x100 6000x100"},
            {proved: "0+60x200"},
        ),
        Alert(
            "SuspenseAged",
            f"max(kopeck_suspense_age_seconds) > {3 * _DAY}",
            "10m",
            "ticket",
            "Money has been in suspense for more than three days",
            {"kopeck_suspense_age_seconds": f"{3 * _DAY}+60x200"},
            {"kopeck_suspense_age_seconds": f"{2 * _DAY}+60x200"},
        ),
        Alert(
            "ReceivableAged",
            f"max(kopeck_receivable_age_seconds) > {30 * _DAY}",
            "10m",
            "ticket",
            "A recipient has owed money for more than thirty days that no batch nets",
            {"kopeck_receivable_age_seconds": f"{30 * _DAY}+60x200"},
            {"kopeck_receivable_age_seconds": f"{29 * _DAY}+60x200"},
        ),
        Alert(
            "BillerConflict",
            "sum(increase(kopeck_biller_conflicts_total[1h])) > 0",
            "0m",
            "ticket",
            "An operation's number came again with another sum or account",
            {"kopeck_biller_conflicts_total": "0x170 1x30"},
            {"kopeck_biller_conflicts_total": "7x200"},
        ),
    ]


def _settlement() -> list[Alert]:
    return [
        Alert(
            "SettlementLate",
            f"max(kopeck_settlement_late_seconds) > {_HOUR}",
            "10m",
            "page",
            "The working day on which money was to go out is over; nobody approved it",
            {"kopeck_settlement_late_seconds": f"{_HOUR}+60x200"},
            {"kopeck_settlement_late_seconds": "0x200"},
        ),
        Alert(
            "SettlementHeld",
            "max(kopeck_settlement_held_seconds) > 0",
            "1m",
            "page",
            "The database was restored; nothing is paid until two people have looked",
            {"kopeck_settlement_held_seconds": "0x100 1+60x100"},
            {"kopeck_settlement_held_seconds": "0x200"},
        ),
        Alert(
            "PayoutStuck",
            f"max(kopeck_payout_age_seconds) > {4 * _DAY}",
            "10m",
            "ticket",
            "The bank has not carried out payouts that were approved four days ago",
            {"kopeck_payout_age_seconds": f"{4 * _DAY}+60x200"},
            {"kopeck_payout_age_seconds": f"{3 * _DAY}+60x200"},
        ),
        Alert(
            "StatementMissing",
            f"max(kopeck_statement_age_seconds) > {3 * _DAY}",
            "10m",
            "ticket",
            "Payouts wait, and for three days no statement of the bank was taken",
            {"kopeck_statement_age_seconds": f"{3 * _DAY}+60x200"},
            {"kopeck_statement_age_seconds": f"{2 * _DAY}+60x200"},
        ),
        Alert(
            "DiscrepancyAged",
            f"max(kopeck_discrepancies_oldest_seconds) > {7 * _DAY}",
            "10m",
            "ticket",
            "A discrepancy of money has been open for more than a week",
            {'kopeck_discrepancies_oldest_seconds{kind="fee-differs"}': f"{7 * _DAY}+60x200"},
            {'kopeck_discrepancies_oldest_seconds{kind="fee-differs"}': f"{6 * _DAY}+60x200"},
        ),
        Alert(
            "WebhookStuck",
            f"max(kopeck_webhook_deliveries_oldest_seconds) > {_DAY}",
            "10m",
            "ticket",
            "A recipient's webhook has not taken an event for more than a day",
            {"kopeck_webhook_deliveries_oldest_seconds": f"{_DAY}+60x200"},
            {"kopeck_webhook_deliveries_oldest_seconds": "60x200"},
        ),
        Alert(
            "WebhookDisabled",
            "max(sum by (instance) (kopeck_webhooks_disabled)) > 0",
            "10m",
            "ticket",
            "A recipient's webhook is disabled: the recipient is told nothing any more",
            {'kopeck_webhooks_disabled{reason="gone"}': "0x100 1x100"},
            {'kopeck_webhooks_disabled{reason="gone"}': "0x200"},
        ),
    ]


def _machine() -> list[Alert]:
    return [
        Alert(
            "GatewayDown",
            'up{job="kopeck"} == 0',
            "1m",
            "page",
            "A gateway does not answer",
            {'up{job="kopeck",instance="a"}': "1x100 0x100"},
            {'up{job="kopeck",instance="a"}': "1x200"},
            labels={"job": "kopeck", "instance": "a"},
        ),
        Alert(
            "ProcessRestarting",
            "sum by (instance, process) (increase(kopeck_restarts_total[15m])) > 3",
            "0m",
            "ticket",
            "A worker or PostgreSQL ends by itself again and again",
            {'kopeck_restarts_total{instance="a",process="worker"}': "0+1x200"},
            {'kopeck_restarts_total{instance="a",process="worker"}': "0x170 1x30"},
            labels={"instance": "a", "process": "worker"},
        ),
        Alert(
            "ClockSkew",
            "max(abs(kopeck_clock_skew_seconds)) > 1",
            "2m",
            "page",
            "The clocks of the gateway and of the database differ by more than a second",
            {"kopeck_clock_skew_seconds": "-2x200"},
            {"kopeck_clock_skew_seconds": "-0.5x200"},
        ),
        *_steps(),
        Alert(
            "PaymentMonthMissing",
            "min(kopeck_payments_months_ahead_seconds) < 14 * 86400",
            "1h",
            "ticket",
            "In two weeks or sooner payments lie in no month of their own",
            {"kopeck_payments_months_ahead_seconds": "1209599x200"},
            {"kopeck_payments_months_ahead_seconds": "1209600x200"},
        ),
        *_disks(),
        Alert(
            "ConnectionsExhausted",
            "max(kopeck_database_connections / kopeck_database_connections_max) > 0.9",
            "5m",
            "page",
            "The database is about to refuse connections",
            {"kopeck_database_connections": "95x200", "kopeck_database_connections_max": "100x200"},
            {"kopeck_database_connections": "80x200", "kopeck_database_connections_max": "100x200"},
        ),
        *_replicas(),
    ]


def _steps() -> list[Alert]:
    # What the asker is to mend, or somebody who is not there, is no fault of ours.
    elsewhere = {
        'kopeck_steps_total{room="webhooks",step="send",outcome="unavailable"}': "0+9x200",
        'kopeck_steps_total{room="bills",step="load",outcome="refused"}': "0+9x200",
    }
    return [
        Alert(
            "StepFailing",
            'sum by (room, step) (increase(kopeck_steps_total{outcome="failed"}[15m])) > 0',
            "0m",
            "ticket",
            "Something else than taking payments fails by a fault of ours",
            {
                'kopeck_steps_total{room="seals",step="seal",outcome="failed"}': "0x170 0+1x30",
                **elsewhere,
            },
            {
                'kopeck_steps_total{room="seals",step="seal",outcome="failed"}': "7x200",
                **elsewhere,
            },
            labels={"room": "seals", "step": "seal"},
        ),
    ]


def _disks() -> list[Alert]:
    free, size = 'kopeck_disk_free_bytes{disk="data"}', 'kopeck_disk_size_bytes{disk="data"}'
    return [
        Alert(
            "DiskFilling",
            "min(kopeck_disk_free_bytes / kopeck_disk_size_bytes) < 0.1",
            "5m",
            "page",
            "Less than a tenth of the data directory's disk is free",
            {free: "9x200", size: "100x200"},
            {free: "11x200", size: "100x200"},
        ),
        Alert(
            "DiskFullSoon",
            "min(predict_linear(kopeck_disk_free_bytes[6h], 3 * 86400)) < 0"
            " and min(kopeck_disk_free_bytes / kopeck_disk_size_bytes) < 0.5",
            "1h",
            "ticket",
            "At this pace the data directory's disk is full in three days",
            {free: "49999-75x120", size: "100000x120"},
            {free: "49999x120", size: "100000x120"},
            at="9h",
            every="5m",
        ),
    ]


def _replicas() -> list[Alert]:
    many = 64 * 1024 * 1024
    return [
        Alert(
            "ReplicaMissing",
            "max(max_over_time(kopeck_replicas[1d])) > max(kopeck_replicas)",
            "5m",
            "page",
            "A standby server that was there within a day is gone",
            {"kopeck_replicas": "2x100 1x100"},
            {"kopeck_replicas": "0x50 1x50 2x100"},
        ),
        Alert(
            "ReplicaBehind",
            f"max(kopeck_replica_lag_bytes) > {many}",
            "5m",
            "ticket",
            "A standby server has not replayed more than 64 MB",
            {"kopeck_replica_lag_bytes": f"{many + 1}x200"},
            {"kopeck_replica_lag_bytes": f"{many - 1}x200"},
        ),
    ]
