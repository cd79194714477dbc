"""The canonical workload: `python -m loadtests.run` prints two numbers.

Durable payments a second and their p99 in milliseconds, one payment a request, with the load
generator, the gateway and PostgreSQL on this machine. Options choose another scenario, or let
payers come open loop at a rate.
"""

import argparse
import tempfile
from pathlib import Path

from loadtests.arrivals import CURVES
from loadtests.gateway_process import running_gateway
from loadtests.http_load import Outcome
from loadtests.scenario import CONNECTIONS, Staged
from loadtests.scenarios import SCENARIOS

WORKERS = 2
SECONDS = 10.0
WARM_SECONDS = 2.0


def main() -> None:
    """Load the scenario's bills, warm up, pay for the time asked for, print."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.run", description=__doc__)
    parser.add_argument("--scenario", choices=SCENARIOS, default=next(iter(SCENARIOS)))
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rate", type=float, help="payers a second at the peak: an open loop")
    parser.add_argument("--arrivals", choices=CURVES, default="steady", help="when they come")
    parser.add_argument("--seed", type=int, default=1, help="of their moments [%(default)s]")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    asked = parser.parse_args()
    with running_gateway(asked.workers, asked.folder) as gateway:
        staged = Staged(gateway, SCENARIOS[asked.scenario])
        staged.closed(WARM_SECONDS, asked.connections)
        outcome = paid(staged, asked)
    print(f"{outcome.per_second:.0f} durable payments/s")
    print(f"{outcome.latency_ms['p99']:.1f} ms p99")


def paid(staged: Staged, asked: argparse.Namespace) -> Outcome:
    """Closed loop, or open loop where a rate was asked for."""
    if asked.rate is None:
        return staged.closed(asked.seconds, asked.connections)
    curve = CURVES[asked.arrivals]
    return staged.opened(asked.rate, asked.seconds, asked.connections, curve, asked.seed)


if __name__ == "__main__":
    main()
