"""A k6 script on a gateway of its own: `python -m loadtests.k6_run --scenario retry_storm`.

For those who use k6; the figures of the table are not taken with it, as it takes more of the
machine than the gateway does. It is told to report to nobody.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loadtests.gateway_process import ROOT, Gateway, running_gateway
from loadtests.scenario import Scenario, Staged
from loadtests.scenarios import SCENARIOS
from loadtests.scenarios.retry_storm import RETRY_STORM

SCRIPTS = ROOT / "loadtests" / "k6"
STOP_S = 60.0


def k6_path() -> str:
    """The k6 beside this Python, or the one on the path."""
    found = shutil.which("k6", path=str(Path(sys.executable).parent)) or shutil.which("k6")
    if found is None:
        raise RuntimeError("Expected k6 (`make setup` installs it), was none")
    return found


def environment(gateway: Gateway, scenario: Scenario) -> dict[str, str]:
    """What the scripts read of the gateway and of who pays."""
    return {
        "BASE_URL": f"http://127.0.0.1:{gateway.port}",
        "API_KEY": gateway.acquirer,
        "FIRST": str(scenario.first),
        "ACCOUNTS": str(scenario.accounts),
        "TWICE": "1" if scenario.name == RETRY_STORM.name else "0",
    }


def run(
    script: str, gateway: Gateway, scenario: Scenario, seconds: float, more: Sequence[str] = ()
) -> int:
    """Run a script of SCRIPTS for at least `seconds`; its exit status, 0 where all checks held.

    `more` are words NAME=value of the environment that the script reads.
    """
    quiet = {"K6_NO_USAGE_REPORT": "true", "K6_AUTO_EXTENSION_RESOLUTION": "false"}
    given = dict(word.split("=", 1) for word in more)
    told = {**environment(gateway, scenario), "DURATION": f"{seconds:g}s", **given}
    return subprocess.run(
        [k6_path(), "run", "--quiet", "--address", "127.0.0.1:0", str(SCRIPTS / f"{script}.js")],
        env={**os.environ, **quiet, **told},
        timeout=seconds + STOP_S,
    ).returncode


def main() -> None:
    """Start a gateway, load the scenario's bills, run the script."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.k6_run", description=__doc__)
    parser.add_argument("script", choices=("payment", "bulk"), nargs="?", default="payment")
    parser.add_argument("--scenario", choices=SCENARIOS, default=next(iter(SCENARIOS)))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    asked = parser.parse_args()
    scenario = SCENARIOS[asked.scenario]
    with running_gateway(asked.workers, asked.folder) as gateway:
        Staged(gateway, scenario)
        status = run(asked.script, gateway, scenario, asked.seconds, asked.set)
    raise SystemExit(status)


if __name__ == "__main__":
    main()
