"""What a drill needs: a gateway whose gauges are fresh, a shell for a page's blocks, and promtool.

Whether an alert fires is asked of promtool itself, with the metrics that the gateway really showed:
counters grow from what they were to what they are within ten minutes, gauges go there over hours.
"""

import asyncio
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
from aiohttp import web

from deploy.alerts import Alert, alerts
from gateway import app
from gateway.api.server import Server
from gateway.config import PREFIX, Settings
from gateway.domain.clock import Clock
from gateway.storage import postgres
from gateway.storage.embedded import binary
from gateway.telemetry import Telemetry
from tests.api.conftest import Gateway, _add_callers
from tests.rules.sources import ROOT

RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
PAGES = ROOT / "docs" / "runbooks"
WITHIN_S = 30
BLOCK_S = 60
_SAMPLE = re.compile(r"(kopeck_[a-z_]+)(?:\{(.*)\})? ([-+0-9.einf]+)")
_COUNTER = ("_total", "_count", "_bucket", "_sum")
Limits = dict[str, Any] | None
_EVERY_S = {"1m": 60, "5m": 300}


class Drill:
    """One gateway, and somebody on call beside it."""

    def __init__(self, url: str, folder: Path, **environ: str) -> None:
        self.url = url
        self.folder = folder
        self._environ = environ

    async def metrics(self) -> dict[str, float]:
        """What Prometheus would read now; `up` alone where nobody answers."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{self.url}/metrics") as answer,
            ):
                text = await answer.text()
        except aiohttp.ClientError:
            return {"up": 0}
        found = {"up": 1.0}
        for line in text.splitlines():
            match = _SAMPLE.fullmatch(line)
            if match is not None:
                labels = f"{{{match[2]}}}" if match[2] else ""
                found[match[1] + labels] = float(match[3])
        return found

    async def until(self, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """The first metrics of which it holds."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                found = await self.metrics()
                if holds(found):
                    return found
                await asyncio.sleep(0.05)

    async def follow(self, page: str, *sections: str, **environ: str) -> str:
        """Runs the `sh` blocks of these sections of a page, or of all, as they stand."""
        text = (PAGES / f"{page}.md").read_text()
        parts = re.split(r"^## ", text, flags=re.MULTILINE)
        wanted = [part for part in parts if not sections or part.split("\n")[0] in sections]
        blocks = re.findall(r"^```sh\n(.*?)^```$", "\n".join(wanted), re.MULTILINE | re.DOTALL)
        assert blocks, f"Expected commands in {page} {sections}"
        running = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", "\n".join(blocks)),
            cwd=self.folder,
            env={
                "PATH": f"{programs(self.folder)}:{os.environ['PATH']}",
                "GATEWAY": self.url,
                "PYTHONPATH": str(ROOT),
                postgres.ALLOW_NOT_DURABLE: "1",
                **self._environ,
                **environ,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(BLOCK_S):
            said, complained = await running.communicate()
        assert running.returncode == 0, (page, said.decode(), complained.decode())
        return said.decode()


def programs(folder: Path) -> Path:
    """A folder with `kopeck` of this tree and the psql that belongs to the server."""
    made = folder / "bin"
    if not made.exists():
        made.mkdir()
        kopeck = made / "kopeck"
        kopeck.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway "$@"\n')
        kopeck.chmod(0o755)
        (made / "psql").symlink_to(binary("psql"))
    return made


def promtool() -> str | None:
    """Its path; drills are followed without it, and say that no alert was seen."""
    return shutil.which("promtool")


def fires(
    name: str, after: dict[str, float], before: dict[str, float] | None = None, later_s: float = 0
) -> bool | None:
    """Whether the alert fires on these metrics, read `later_s` ago; None without promtool."""
    found = promtool()
    if found is None:
        return None
    alert = next(one for one in alerts() if one.name == name)
    folder = Path(os.environ.get("TMPDIR", "/var/tmp"))  # noqa: S108
    path = folder / f"kopeck-drill-{os.getpid()}-{name}.yaml"
    complaints = []
    try:
        for value in (1, 0):
            path.write_text(_test(alert, before or after, after, later_s, value))
            words = [found, "test", "rules", str(path)]
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
            if done.returncode == 0:
                return value == 1
            complaints.append(done.stdout + done.stderr)
    finally:
        path.unlink()
    raise AssertionError(complaints)


def _test(
    alert: Alert, before: dict[str, float], after: dict[str, float], later_s: float, value: int
) -> str:
    every = _EVERY_S[alert.every]
    at_s = int(alert.at.removesuffix("h")) * 3600
    steps = at_s // every
    lines = [f"rule_files: ['{RULES}']", f"evaluation_interval: {alert.every}", "tests:"]
    lines += [f"  - interval: {alert.every}", "    input_series:"]
    for series, now in after.items():
        lines.append(f"      - series: '{_labelled(series)}'")
        lines.append(f"        values: '{_values(series, before, now, at_s, steps, later_s)}'")
    firing = f'count(ALERTS{{alertname="{alert.name}",alertstate="firing"}})'
    lines += ["    promql_expr_test:", f"      - expr: '{firing} > bool 0 or vector(0)'"]
    lines += [f"        eval_time: {alert.at}", "        exp_samples:"]
    lines += [f"          - {{labels: '{{}}', value: {value}}}"]
    return "\n".join(lines) + "\n"


def _labelled(series: str) -> str:
    name, _, rest = series.partition("{")
    more = f",{rest}" if rest else "}"
    return f'{name}{{job="kopeck",instance="a"{more}'


def _values(
    series: str, before: dict[str, float], now: float, at_s: int, steps: int, later_s: float
) -> str:
    name = series.partition("{")[0]
    if name.endswith("_timestamp_seconds"):
        # A test's clock begins at 0.
        now = at_s - later_s - (time.time() - now)
        return f"{now:.3f}x{steps + 1}"
    was = before.get(series, 0.0)
    if name.endswith(_COUNTER):
        return f"{was:g}x{steps - 10} {was:g}+{(now - was) / 10:g}x11"
    if was == now:
        return f"{now:.17g}x{steps + 1}"
    return f"{was:.17g}{(now - was) / steps:+.17g}x{steps - 1} {now:.17g}x1"


@asynccontextmanager
async def drilled(
    url: str,
    folder: Path,
    clock: Clock | None = None,
    settings: Settings | None = None,
    limits: Limits = None,
) -> AsyncIterator[tuple[Drill, Gateway]]:
    """A worker with callers whose gauges are counted all the time, and somebody on call."""
    usual = Settings(
        database_url=url, pool_min=1, pool_max=4, workers=1, body_timeout_s=1, drain_s=30
    )
    chosen = settings or dataclasses.replace(usual, **(limits or {}))
    often = patch.multiple(
        app, GAUGES_EVERY_S=0.1, WATCH_EVERY_S=0.1, RECONCILE_EVERY_S=0.1, GAUGES_SHARE=0
    )
    with often:
        async with (
            app.open_context(chosen, url, clock) as context,
            app.running(context, Telemetry("0.0.0", "kernel"), slot=app.GAUGES_SLOT) as runner,
        ):
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            server = runner.server
            assert isinstance(server, Server)
            async with aiohttp.ClientSession(auto_decompress=False) as session:
                gateway = Gateway(server, runner.addresses[0][1], session, url)
                await _add_callers(gateway)
                where = {} if settings else {f"{PREFIX}DATABASE_URL": url}
                keys = {
                    "OPERATOR": gateway.secrets["operator"],
                    "APPROVER": gateway.secrets["approver"],
                    f"{PREFIX}PORT": str(gateway.port),
                }
                yield Drill(gateway.url, folder, **where, **keys), gateway
