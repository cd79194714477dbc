"""Writes what Prometheus and Grafana read out of alerts.py and dashboards.py.

`python -m deploy.generate` writes the files; tests/rules holds the committed ones to it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy import dashboards
from deploy.alerts import WINDOWS, Alert, alerts, recorded

ROOT = Path(__file__).resolve().parents[1]
_HEAD = "# Written by `python -m deploy.generate`; change deploy/alerts.py instead.\n"


def files() -> dict[str, str]:
    """Path from the root → text, of every file that is written."""
    rules = _rules()
    written = {
        "deploy/prometheus/rules.yaml": rules,
        **{f"deploy/prometheus/rules_test_{every}.yaml": _tests(every) for every in WINDOWS},
        # The chart may only read files that are inside it.
        "deploy/helm/kopeck/files/rules.yaml": rules,
    }
    for name, dashboard in dashboards.dashboards().items():
        text = json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
        written[f"deploy/grafana/{name}.json"] = text
        written[f"deploy/helm/kopeck/files/{name}.json"] = text
    return written


def _rules() -> str:
    lines = [_HEAD + "groups:"]
    for every, windows in WINDOWS.items():
        lines += [f"  - name: kopeck-recorded-{every}", f"    interval: {every}", "    rules:"]
        for name, expr in recorded(windows).items():
            lines += [f"      - record: {name}", *_folded("expr", expr, 8)]
    lines += ["  - name: kopeck-alerts", "    rules:"]
    for alert in alerts():
        lines += [f"      - alert: {alert.name}", *_folded("expr", alert.expr, 8)]
        lines += [f"        for: {alert.holds}", "        labels:"]
        lines += [f"          severity: {alert.severity}", "        annotations:"]
        lines += [f"          {name}: {_quoted(text)}" for name, text in _annotations(alert)]
    return "\n".join(lines) + "\n"


def _annotations(alert: Alert) -> Iterator[tuple[str, str]]:
    yield "summary", alert.summary
    yield "runbook", f"docs/runbooks/{alert.name}.md"


def _tests(every: str) -> str:
    """Of the alerts whose series have a sample every so often."""
    lines = [_HEAD + "rule_files: [rules.yaml]", f"evaluation_interval: {every}", "tests:"]
    for alert in (one for one in alerts() if one.every == every):
        for name, series in (("fires", alert.firing), ("is silent", alert.silent)):
            lines += [f"  - name: {alert.name} {name}", f"    interval: {alert.every}"]
            lines.append("    input_series:")
            for one, samples in series.items():
                lines += [f"      - series: {_quoted(one)}", f"        values: {_quoted(samples)}"]
            lines += ["    alert_rule_test:", f"      - eval_time: {alert.at}"]
            lines += [f"        alertname: {alert.name}"]
            lines += _expected(alert) if series is alert.firing else ["        exp_alerts: []"]
    return "\n".join(lines) + "\n"


def _expected(alert: Alert) -> Iterator[str]:
    yield "        exp_alerts:"
    labels: Mapping[str, str] = {"severity": alert.severity, **(alert.labels or {})}
    yield "          - exp_labels:"
    yield from (f"              {name}: {value}" for name, value in labels.items())
    yield "            exp_annotations:"
    yield from (f"              {name}: {_quoted(text)}" for name, text in _annotations(alert))


def _folded(key: str, text: str, indent: int) -> list[str]:
    """A long scalar over lines of at most a hundred columns, which YAML joins by blanks."""
    lines, line = [" " * indent + f"{key}: >-"], ""
    for word in text.split(" "):
        if line and indent + 2 + len(line) + 1 + len(word) > 98:
            lines.append(" " * (indent + 2) + line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, " " * (indent + 2) + line]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def main() -> None:
    """Writes every file anew."""
    for name, text in files().items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
