"""The canonical workload: `python -m loadtests.run` prints two numbers.

Durable payments a second and their p99 in milliseconds, one payment a request, with the load
generator, the gateway and PostgreSQL on this machine.
"""

import argparse
import tempfile
from pathlib import Path

import orjson

from loadtests import households
from loadtests.gateway_process import running_gateway
from loadtests.rows.http import CONNECTIONS, PER_SECOND_MAX, HttpLoad

WORKERS = 2
ACCOUNTS = 20_000
SECONDS = 10.0
WARM_SECONDS = 2.0


def main() -> None:
    """Load a region, warm up, pay for SECONDS, print."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.run", description=__doc__)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    asked = parser.parse_args()
    with running_gateway(asked.workers, asked.folder) as gateway:
        bodies = households.bills(ACCOUNTS)
        content = b"".join(orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE) for body in bodies)
        gateway.load_bills(content, ACCOUNTS)
        load = HttpLoad(gateway, "run")
        load.send(int(WARM_SECONDS * PER_SECOND_MAX), WARM_SECONDS, asked.connections)
        count = int(asked.seconds * PER_SECOND_MAX)
        outcome = load.send(count, asked.seconds, asked.connections)
    print(f"{outcome.per_second:.0f} durable payments/s")
    print(f"{outcome.latency_ms['p99']:.1f} ms p99")


if __name__ == "__main__":
    main()
