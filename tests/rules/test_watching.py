"""Dashboards and alerts: as their script writes them, well formed, each alert with a page."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from deploy import dashboards, generate
from deploy.alerts import WINDOWS, Alert, alerts, recorded
from tests.rules.sources import ROOT

PAGES = ROOT / "docs" / "runbooks"
PROMETHEUS = ROOT / "deploy" / "prometheus"
_SECTIONS = ("## Look", "## Do")


def expressions() -> list[str]:
    """Every expression of every rule and dashboard, Grafana's variables filled in."""
    rules = [expr for windows in WINDOWS.values() for expr in recorded(windows).values()]
    rules += [alert.expr for alert in alerts()]
    return rules + [expr.replace("$__rate_interval", "5m") for expr in dashboards.expressions()]


def selected(expr: str) -> set[str]:
    """Names of the series that an expression reads; ValueError where it cannot be parsed."""
    found: set[str] = set()

    def note(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector) and node.name is not None:
            found.add(node.name)

    waiting: list[object] = [promql_parser.parse(expr)]
    while waiting:
        node = waiting.pop()
        note(node)
        for name in ("lhs", "rhs", "expr", "param", "vector_selector", "vs"):
            waiting.append(getattr(node, name, None))
        waiting += getattr(node, "args", None) or []
        waiting = [one for one in waiting if one is not None]
    return found


def promtool(*words: str) -> "subprocess.CompletedProcess[str]":
    found = shutil.which("promtool")
    if found is None:
        pytest.skip(
            "ALERTS WERE NOT TESTED: no promtool on the PATH; .ci/run brings it from Debian"
        )
    return subprocess.run([found, *words], capture_output=True, text=True, timeout=120, check=False)


def no_page(alert: Alert) -> Iterator[str]:
    path = PAGES / f"{alert.name}.md"
    if not path.exists():
        yield f"no page: docs/runbooks/{alert.name}.md"
        return
    text = path.read_text()
    if not text.startswith(f"# {alert.name}\n"):
        yield f"expected the page's title to be # {alert.name}"
    yield from (f"{alert.name}: no section {one}" for one in _SECTIONS if one not in text)
    if "```sh\n" not in text:
        yield f"{alert.name}: no commands to follow"
    if f"({alert.name}.md)" not in (PAGES / "README.md").read_text():
        yield f"{alert.name}: not in the list of docs/runbooks/README.md"


def test_what_prometheus_and_grafana_read_is_as_the_script_writes_it() -> None:
    stale = [
        name
        for name, text in generate.files().items()
        if not (ROOT / name).exists() or (ROOT / name).read_text() != text
    ]
    assert stale == [], "run: python -m deploy.generate"
    committed = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("deploy/grafana/*.json")}
    assert committed <= set(generate.files())


def test_every_expression_can_be_parsed() -> None:
    for expr in expressions():
        assert selected(expr), expr
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        selected("sum(rate(kopeck_payments_total[5m])")


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    said = [complaint for alert in alerts() for complaint in no_page(alert)]
    assert said == []
    names = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert names == {alert.name for alert in alerts()}


def test_every_page_was_followed_by_a_drill() -> None:
    drilled = "".join(path.read_text() for path in ROOT.glob("tests/drills/test_*.py"))
    assert [one.name for one in alerts() if f'follow("{one.name}"' not in drilled] == []


def test_alerts_are_few_and_each_says_what_to_do() -> None:
    names = [alert.name for alert in alerts()]
    assert len(names) == len(set(names))
    for alert in alerts():
        assert re.fullmatch(r"(?:[A-Z][a-z]+)+", alert.name)
        assert alert.severity in ("page", "ticket")
        assert alert.firing
        assert alert.silent
        assert set(alert.firing) == set(alert.silent) or alert.name == "GatewayDown"


def test_prometheus_takes_the_rules() -> None:
    done = promtool("check", "rules", str(PROMETHEUS / "rules.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    files = sorted(map(str, PROMETHEUS.glob("rules_test_*.yaml")))
    assert len(files) == len(WINDOWS)
    done = promtool("test", "rules", *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tests_of_alerts_can_fail(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text((PROMETHEUS / "rules.yaml").read_text())
    text = (PROMETHEUS / "rules_test_1m.yaml").read_text()
    one = text[: text.index("  - name: PaymentLatencyBudgetFast")]
    (tmp_path / "test.yaml").write_text(one.replace("0+20x200", "0+2x200"))
    assert promtool("test", "rules", str(tmp_path / "test.yaml")).returncode == 1


def roubles_of_kopecks(panels: list[dict[str, Any]]) -> Iterator[str]:
    """Metrics are in kopecks; a panel divides by 100 where it says roubles."""
    for panel in panels:
        roubles = panel["fieldConfig"]["defaults"]["unit"] == "currencyRUB"
        for target in panel["targets"]:
            if "_kopecks" in target["expr"] and not (roubles and "/ 100" in target["expr"]):
                yield f"{panel['title']}: expected kopecks / 100 as roubles"


def test_roubles_are_a_hundredth_of_kopecks() -> None:
    for board in dashboards.dashboards().values():
        assert list(roubles_of_kopecks(board["panels"])) == []
    bad = {
        "title": "Owed",
        "fieldConfig": {"defaults": {"unit": "currencyRUB"}},
        "targets": [{"expr": "max(kopeck_suspense_kopecks)"}],
    }
    assert len(list(roubles_of_kopecks([bad]))) == 1
