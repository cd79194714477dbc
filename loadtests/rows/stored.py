"""Bulk payments, bytes a payment: each beside plain SQL."""

from collections.abc import Iterator
from itertools import count as counting

from loadtests import households, http_load
from loadtests.gateway_process import Gateway
from loadtests.measure import Turns
from loadtests.peers import Peers, payment_rows
from loadtests.report import Figure, Goal, Row
from loadtests.stage import Stage

DURABLE = '"status":201'
# Eight transfers of 128 bytes, as a ledger of fixed-size records keeps them.
FIXED_RECORDS = 8 * 128
SECONDS_MAX = 120.0
# Payments a request, requests, and how many of them at a time: a worker that waits for a commit
# reads what came in the meantime, and a request of a few groups has nothing more to be read.
BULK = ((1_000, 20, 4), (20_000, 1, 1))


def bulk_part(stage: Stage) -> Iterator[Row]:
    """Bulk payments, and the disk they took."""
    gateway, peers = stage.stocked(), stage.peers
    load = BulkLoad(gateway)
    disk = Disk(peers)
    for lines, requests, connections in BULK:
        yield bulk_row(load, peers, stage.runs, lines, requests, connections)
    yield whole_row(load, stage.runs)
    yield disk.row()


class BulkLoad:
    """NDJSON of payments, one request after another on one connection; `name` keeps keys apart."""

    def __init__(self, gateway: Gateway, name: str = "bulk") -> None:
        self._gateway = gateway
        self._name = name
        self._runs = counting()

    def per_second(
        self, lines: int, requests: int, connections: int = 1, *, brief: bool = False
    ) -> float:
        """Durable payments a second of `requests` requests with `lines` payments each; `brief`
        outcomes come without the payments themselves, as those of plain SQL do.
        """
        run = f"{self._name}{next(self._runs)}"
        bodies = households.payments(self._gateway.accounts, lines * requests, run)
        plan = http_load.Plan(
            port=self._gateway.port,
            connections=connections,
            seconds=SECONDS_MAX,
            status=200,
            token=DURABLE,
            times=lines,
        )
        path, secret = "/v1/payments/bulk", self._gateway.acquirer
        made = [
            households.bulk_request(
                secret,
                (next(bodies) for _ in range(lines)),
                path,
                f"{run}-{number}",
                brief=brief,
            )
            for number in range(requests)
        ]
        return http_load.load(plan, made).per_second * lines


def whole_row(load: BulkLoad, runs: int) -> Row:
    """What it costs to be told the payments themselves, with all shares, instead of outcomes."""
    lines, requests, connections = BULK[-1]
    turns = Turns(
        runs,
        lambda: load.per_second(lines, requests, connections),
        lambda: load.per_second(lines, requests, connections, brief=True),
    )
    return Row(
        name="bulk_whole",
        what=f"bulk, {lines} payments a request, each answered whole",
        measured=Figure("payments/s", turns.measured),
        peer="the same with outcomes alone (Prefer: return=minimal)",
        against=Figure("payments/s", turns.against),
        foreign_cores=turns.foreign_cores,
    )


def bulk_row(
    load: BulkLoad, peers: Peers, runs: int, lines: int, requests: int, connections: int
) -> Row:
    """Bulk requests of `lines` payments."""
    rows = [payment_rows(lines * requests, f"peer{lines}-{run}") for run in range(runs)]
    turns = Turns(
        runs,
        lambda: load.per_second(lines, requests, connections, brief=True),
        lambda: peers.insert_groups(rows.pop()),
    )
    return Row(
        name=f"bulk_{lines}",
        what=f"bulk, {lines} payments a request, {connections} at a time, durable",
        measured=Figure("payments/s", turns.measured),
        peer="INSERT … SELECT unnest … ON CONFLICT, payment rows alone, groups of 1000,"
        " told their ids",
        against=Figure("rows/s", turns.against),
        must=Goal(0.4, "higher"),
        aim=Goal(0.6, "higher"),
        foreign_cores=turns.foreign_cores,
    )


class Disk:
    """Bytes that payments add, from when it is made."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._sizes = peers.sizes()
        self._payments = peers.rows_of("payments")

    def row(self) -> Row:
        """What every payment since then has added, in all tables and indexes."""
        payments = self._peers.rows_of("payments") - self._payments
        sizes = self._peers.sizes()
        grown = {name: (size - self._sizes.get(name, 0)) / payments for name, size in sizes.items()}
        most = sorted(grown, key=lambda name: -grown[name])[:3]
        return Row(
            name="disk",
            what="disk a payment with 8 shares, all tables and indexes",
            measured=Figure("bytes", [sum(grown.values())]),
            peer="8 records of 128 bytes",
            against=Figure("bytes", [float(FIXED_RECORDS)]),
            must=Goal(1, "lower"),
            aim=Goal(0.7, "lower"),
            note=", ".join(f"{name} {grown[name]:.0f}" for name in most),
        )
