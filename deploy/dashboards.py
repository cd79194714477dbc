"""Grafana's dashboards as Python: one for payers, money, settlement and the database each.

Only what stands here is a dashboard of ours; the JSON beside it is written by generate.py. Money is
counted by every gateway alike, so it is shown by `max`; what each worker counts is added up.
"""

from typing import Any

_COLUMNS = 24
_HEIGHT = 8
_QUANTILE = "histogram_quantile({}, sum by (le) (rate({}[$__rate_interval])))"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

_Query = tuple[str, str]


def dashboards() -> dict[str, dict[str, Any]]:
    """File name without its ending → the dashboard."""
    return {
        "kopeck-payers": _dashboard("kopeck-payers", "Kopeck: payers", _payers()),
        "kopeck-money": _dashboard("kopeck-money", "Kopeck: money", _money()),
        "kopeck-settlement": _dashboard("kopeck-settlement", "Kopeck: settlement", _settlement()),
        "kopeck-database": _dashboard("kopeck-database", "Kopeck: database", _database()),
    }


def expressions() -> list[str]:
    """Every query of every dashboard."""
    return [
        target["expr"]
        for dashboard in dashboards().values()
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


def _payers() -> list[dict[str, Any]]:
    seconds = "kopeck_payment_seconds_bucket"
    answered = "kopeck_http_requests_total"
    return [
        _number("Gateways that answer", "short", 'sum(up{job="kopeck"})'),
        _number("Payments taken a second", "reqps", _rate('outcome=~"accepted|suspense"')),
        _number("Not taken, last hour", "percentunit", "kopeck:payment_errors:ratio1h", (0, 0.001)),
        _number(
            "Slower than 250 ms, last hour",
            "percentunit",
            "kopeck:payments_slow:ratio1h",
            (0, 0.01),
        ),
        _lines("Payments by what became of them", "reqps", (_rate("", "outcome"), "{{outcome}}")),
        _lines("Payments by method", "reqps", (_rate("", "method"), "{{method}}")),
        _lines(
            "From request to durable answer",
            "s",
            (_QUANTILE.format(0.5, seconds), "half"),
            (_QUANTILE.format(0.95, seconds), "95 %"),
            (_QUANTILE.format(0.99, seconds), "99 %"),
        ),
        _lines(
            "Answers by route, 95 % but for payments",
            "s",
            (
                "histogram_quantile(0.95, sum by (le, route)"
                " (rate(kopeck_http_request_seconds_bucket[$__rate_interval])))",
                "{{route}}",
            ),
        ),
        _lines(
            "Error budget burnt, in times of what thirty days allow",
            "short",
            ("kopeck:payment_errors:ratio5m / 0.001", "errors, 5 minutes"),
            ("kopeck:payment_errors:ratio1h / 0.001", "errors, 1 hour"),
            ("kopeck:payments_slow:ratio1h / 0.01", "slow, 1 hour"),
        ),
        _lines(
            "Answers by route",
            "reqps",
            (f"sum by (route) (rate({answered}[$__rate_interval]))", "{{route}}"),
        ),
        _lines(
            "Answers that are no success, by status",
            "reqps",
            (
                f'sum by (status) (rate({answered}{{status!~"2.."}}[$__rate_interval]))',
                "{{status}}",
            ),
        ),
        *_rooms(),
        *_workers(),
    ]


def _workers() -> list[dict[str, Any]]:
    return [
        _lines(
            "Payments that wait for their group, and are being answered, of as many as may",
            "percentunit",
            ("sum(kopeck_queue_payments) / sum(kopeck_queue_max)", "wait"),
            ("sum(kopeck_payments_in_flight) / sum(kopeck_queue_max)", "being answered"),
        ),
        _lines(
            "How late a worker's loop comes round",
            "s",
            (_QUANTILE.format(0.5, "kopeck_loop_lag_seconds_bucket"), "half"),
            (_QUANTILE.format(0.99, "kopeck_loop_lag_seconds_bucket"), "99 %"),
        ),
        _lines(
            "Lines of the log that nobody read in time",
            "short",
            ("sum(rate(kopeck_log_lines_dropped_total[$__rate_interval]))", "a second"),
        ),
        _lines(
            "Splitting one payment",
            "s",
            (_QUANTILE.format(0.5, "kopeck_split_seconds_bucket"), "half"),
            (_QUANTILE.format(0.99, "kopeck_split_seconds_bucket"), "99 %"),
        ),
        _lines(
            "Processes started again in an hour",
            "short",
            ("sum by (process) (increase(kopeck_restarts_total[1h]))", "{{process}}"),
        ),
        _lines(
            "Versions",
            "short",
            ("count by (version, kernel) (kopeck_build_info)", "{{version}}, {{kernel}}"),
        ),
    ]


def _rooms() -> list[dict[str, Any]]:
    """Rate, errors and durations of what rooms do beside payments."""
    by_room = "sum by (room{}) (rate(kopeck_steps_total{}[$__rate_interval]))"
    wrong = '{outcome=~"failed|unavailable"}'
    return [
        _lines("Steps of rooms", "ops", (by_room.format("", ""), "{{room}}")),
        _lines(
            "Steps of rooms that failed or found nobody",
            "ops",
            (by_room.format(", step, outcome", wrong), "{{room}} {{step}} {{outcome}}"),
        ),
        _lines(
            "Steps of rooms, 95 %",
            "s",
            (
                "histogram_quantile(0.95, sum by (le, room)"
                " (rate(kopeck_step_seconds_bucket[$__rate_interval])))",
                "{{room}}",
            ),
        ),
        _lines(
            "Steps of rooms under way",
            "short",
            ("sum by (room) (kopeck_steps_current)", "{{room}}"),
        ),
    ]


def _money() -> list[dict[str, Any]]:
    kinds = "max by (recipient_kind) (kopeck_unsettled_kopecks) / 100"
    return [
        _number(
            "Ledger out of balance",
            "currencyRUB",
            "max(abs(kopeck_ledger_imbalance_kopecks)) / 100",
        ),
        _number(
            "Last found in balance, ago",
            "s",
            "time() - max(kopeck_ledger_proved_timestamp_seconds)",
            (0, 900),
        ),
        _number("In suspense", "currencyRUB", "max(kopeck_suspense_kopecks) / 100", (0, 1e12)),
        _number("Owed, not approved", "currencyRUB", "sum(" + kinds + ")", (0, 1e15)),
        _lines(
            "Out of balance",
            "currencyRUB",
            ("max(abs(kopeck_ledger_imbalance_kopecks)) / 100", "debits less credits"),
        ),
        _lines(
            "Since the ledger was last proved",
            "s",
            ("time() - max(kopeck_ledger_proved_timestamp_seconds)", "seconds since zero"),
        ),
        _lines("In suspense", "currencyRUB", ("max(kopeck_suspense_kopecks) / 100", "roubles")),
        _lines("Oldest money in suspense", "s", ("max(kopeck_suspense_age_seconds)", "age")),
        _lines(
            "Owed by recipients",
            "currencyRUB",
            ("max(kopeck_receivable_kopecks) / 100", "roubles"),
        ),
        _lines("Oldest debt of a recipient", "s", ("max(kopeck_receivable_age_seconds)", "age")),
        _lines("Owed by kind of recipient", "currencyRUB", (kinds, "{{recipient_kind}}")),
        _lines(
            "Payments in a day, by what became of them",
            "short",
            ("sum by (outcome) (increase(kopeck_payments_total[1d]))", "{{outcome}}"),
        ),
        _lines(
            "Payments at acquirers, by what became of them",
            "reqps",
            (
                "sum by (kind, outcome) (rate(kopeck_authorisations_total[$__rate_interval]))",
                "{{kind}} {{outcome}}",
            ),
        ),
    ]


def _settlement() -> list[dict[str, Any]]:
    routes = 'route=~"settlement.*|approval.*|payout.*|report.*|acquirer_report.*|bank.*"'
    return [
        _number("Late to go out", "s", "max(kopeck_settlement_late_seconds)", (0, 3_600)),
        _number("Oldest unpaid payouts", "s", "max(kopeck_payout_age_seconds)", (0, 4 * 86_400)),
        _number(
            "Since the bank's statement", "s", "max(kopeck_statement_age_seconds)", (0, 3 * 86_400)
        ),
        _number("Payouts ever", "short", "sum(max by (state) (kopeck_payouts_total))"),
        _lines("Oldest unsettled money", "s", ("max(kopeck_unsettled_age_seconds)", "age")),
        _lines(
            "Oldest unpaid payouts, and since the bank's last statement",
            "s",
            ("max(kopeck_payout_age_seconds)", "payouts"),
            ("max(kopeck_statement_age_seconds)", "statement"),
        ),
        _lines(
            "Owed, not approved",
            "currencyRUB",
            ("max by (recipient_kind) (kopeck_unsettled_kopecks) / 100", "{{recipient_kind}}"),
        ),
        _lines("Payouts by state", "short", ("max by (state) (kopeck_payouts_total)", "{{state}}")),
        _lines(
            "Answers of settlement, payouts and reports",
            "reqps",
            (
                "sum by (route, status)"
                f" (rate(kopeck_http_requests_total{{{routes}}}[$__rate_interval]))",
                "{{route}} {{status}}",
            ),
        ),
    ]


def _database() -> list[dict[str, Any]]:
    per_second = "max by (instance) (rate(kopeck_database_{}_total[$__rate_interval]))"
    hit, read = per_second.format("blocks_hit"), per_second.format("blocks_read")
    share = "max(kopeck_database_connections / kopeck_database_connections_max)"
    free = "min by (instance) (kopeck_disk_free_bytes / kopeck_disk_size_bytes)"
    return [
        _number("Connections in use", "percentunit", share, (0, 0.9)),
        _number("Disk free", "percentunit", f"min({free})"),
        _number("Replicas", "short", "max(kopeck_replicas)"),
        _number("Clock skew", "s", "max(abs(kopeck_clock_skew_seconds))", (0, 1)),
        _number("Months made ahead", "s", "min(kopeck_payments_months_ahead_seconds)"),
        _lines(
            "A commit group, first statement to commit",
            "s",
            (_QUANTILE.format(0.5, "kopeck_commit_seconds_bucket"), "half"),
            (_QUANTILE.format(0.99, "kopeck_commit_seconds_bucket"), "99 %"),
        ),
        _lines(
            "Payments of one commit group",
            "short",
            (_QUANTILE.format(0.5, "kopeck_commit_group_size_bucket"), "half"),
            (_QUANTILE.format(0.99, "kopeck_commit_group_size_bucket"), "99 %"),
        ),
        _lines(
            "Commits, rollbacks and deadlocks",
            "ops",
            (per_second.format("commits"), "commits"),
            (per_second.format("rollbacks"), "rollbacks"),
            (per_second.format("deadlocks"), "deadlocks"),
        ),
        _lines(
            "Blocks not in the server's memory", "percentunit", (f"{read} / ({hit} + {read})", "")
        ),
        _lines(
            "Connections",
            "short",
            ("max(kopeck_database_connections)", "in use"),
            ("max(kopeck_database_connections_max)", "accepted"),
        ),
        _lines(
            "Connections of the workers' pools",
            "short",
            ("sum(kopeck_database_pool_max)", "may be open"),
            (
                "sum(kopeck_database_pool_connections) - sum(kopeck_database_pool_idle)",
                "used",
            ),
            ("sum(kopeck_database_pool_waiting)", "who waits for one"),
        ),
        _lines(
            "How long a connection of the pool was waited for",
            "s",
            (_QUANTILE.format(0.5, "kopeck_database_pool_wait_seconds_bucket"), "half"),
            (_QUANTILE.format(0.99, "kopeck_database_pool_wait_seconds_bucket"), "99 %"),
        ),
        _lines(
            "Who waited for a connection in vain",
            "ops",
            ("sum(rate(kopeck_database_pool_timeouts_total[$__rate_interval]))", "a second"),
        ),
        _lines("Longest open work", "s", ("max(kopeck_database_longest_seconds)", "seconds")),
        _lines("Size", "bytes", ("max(kopeck_database_size_bytes)", "database")),
        _lines("Disk of the data directory, free", "percentunit", (free, "{{instance}}")),
        _lines(
            "Replay not done yet", "bytes", ("max(kopeck_replica_lag_bytes)", "slowest replica")
        ),
        _lines(
            "Since the oldest unfrozen row", "short", ("max(kopeck_database_freeze_age)", "age")
        ),
    ]


def _rate(matchers: str, by: str = "") -> str:
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (rate(kopeck_payments_total{{{matchers}}}[$__rate_interval]))"


def _dashboard(uid: str, title: str, panels: list[dict[str, Any]]) -> dict[str, Any]:
    across = down = 0
    for number, panel in enumerate(panels, 1):
        wide = panel["gridPos"]["w"]
        if across + wide > _COLUMNS:
            across, down = 0, down + _HEIGHT
        panel["id"] = number
        panel["gridPos"].update(x=across, y=down)
        across += wide
    return {
        "uid": uid,
        "title": title,
        "tags": ["kopeck"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]
        },
        "links": [
            {"type": "dashboards", "tags": ["kopeck"], "title": "Kopeck", "asDropdown": False}
        ],
        "panels": panels,
    }


def _panel(kind: str, title: str, unit: str, queries: tuple[_Query, ...], wide: int) -> Any:
    return {
        "id": 0,
        "type": kind,
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {"h": _HEIGHT, "w": wide, "x": 0, "y": 0},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(65 + n),
                "datasource": _SOURCE,
                "expr": expr,
                "legendFormat": legend,
                # The traces of single payments, where they are on.
                **({"exemplar": True} if "kopeck_payment_seconds_bucket" in expr else {}),
            }
            for n, (expr, legend) in enumerate(queries)
        ],
    }


def _lines(title: str, unit: str, *queries: _Query) -> dict[str, Any]:
    """Lines over time, half of the width."""
    panel: dict[str, Any] = _panel("timeseries", title, unit, queries, _COLUMNS // 2)
    panel["options"] = {"legend": {"displayMode": "list", "placement": "bottom"}}
    return panel


def _number(
    title: str, unit: str, expr: str, well: tuple[float, float] | None = None
) -> dict[str, Any]:
    """One number, red above what is well (above 0 where it is money out of balance)."""
    panel: dict[str, Any] = _panel("stat", title, unit, ((expr, ""),), _COLUMNS // 4)
    panel["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    if well is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": well[1]}]
        panel["fieldConfig"]["defaults"]["thresholds"] = {"mode": "absolute", "steps": steps}
    return panel
