"""Exemplars and OpenMetrics: who asks for them gets them, of every worker, in files of one size."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar, Sample

from gateway import tracing
from gateway.exemplars import Exemplars, file_of
from gateway.exposition import CONTENT_TYPE, OPENMETRICS_TYPE
from tests.api.conftest import Gateway, payment, served
from tests.api.test_traces import CALLERS_TRACE, TRACEPARENT, Collector, collector, traced
from tests.rules.sources import ROOT

__all__ = ["collector"]

NAME = "kopeck_payment_seconds"
# As Prometheus asks.
ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


async def asked(gateway: Gateway, accept: str | None = ACCEPT) -> tuple[str, str]:
    """The media type of /metrics and its text."""
    headers = {} if accept is None else {"Accept": accept}
    answer = await gateway.send("GET", "/metrics", headers=headers)
    assert answer.status == 200, answer.content
    return answer.headers["Content-Type"], answer.content.decode()


def parsed(text: str) -> list[Sample]:
    """Every sample of a text, which must be whole OpenMetrics."""
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return [sample for family in families for sample in family.samples]


def told_in(text: str) -> dict[str, Exemplar]:
    """Name of a series with its bound → its exemplar."""
    return {
        f"{sample.name} {sample.labels.get('le')}": sample.exemplar
        for sample in parsed(text)
        if sample.exemplar is not None
    }


async def test_a_sampled_payment_is_an_exemplar_of_its_bucket(
    database_url: str, collector: Collector
) -> None:
    async with traced(database_url, collector.url) as gateway:
        answer = await gateway.pay(payment(), headers={"traceparent": TRACEPARENT})
        assert answer.status == 201
        kind, text = await asked(gateway)
        assert kind == OPENMETRICS_TYPE
        ((series, exemplar),) = told_in(text).items()
        name, _, bound = series.partition(" ")
        assert name == f"{NAME}_bucket"
        assert exemplar.labels == {"trace_id": CALLERS_TRACE}
        assert 0 < exemplar.value <= float(bound)
        # Plain text has no place for them.
        kind, text = await asked(gateway, None)
        assert kind == CONTENT_TYPE
        assert CALLERS_TRACE not in text


async def test_a_trace_that_is_not_sent_is_no_exemplar(
    database_url: str, collector: Collector
) -> None:
    async with traced(database_url, collector.url, share=0) as gateway:
        assert (await gateway.pay(payment(), headers={"traceparent": TRACEPARENT})).status == 201
        assert told_in((await asked(gateway))[1]) == {}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, CONTENT_TYPE),
        ("*/*", CONTENT_TYPE),
        ("text/plain;version=0.0.4", CONTENT_TYPE),
        ("application/openmetrics-text; version=x;q=?,", OPENMETRICS_TYPE),
        ("Application/OpenMetrics-Text", OPENMETRICS_TYPE),
        ("application/vnd.google.protobuf;encoding=delimited", CONTENT_TYPE),
        (",;,=;", CONTENT_TYPE),
    ],
)
async def test_openmetrics_is_for_who_asks(
    database_url: str, accept: str | None, kind: str
) -> None:
    async with served(database_url) as gateway:
        got, text = await asked(gateway, accept)
        assert got == kind
        assert text.endswith("# EOF\n") == (kind == OPENMETRICS_TYPE)
        if kind == OPENMETRICS_TYPE:
            assert told_in(text) == {}


class Placed:
    """Stands in for a request under way in a trace of its own each time."""

    def __init__(self) -> None:
        self.count = 0

    def here(self) -> tracing.Place:
        self.count += 1
        return tracing.Place(f"{self.count:032x}", "1" * 16, True)


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> Placed:
    made = Placed()
    monkeypatch.setattr(tracing, "here", made.here)
    return made


@pytest.mark.usefixtures("placed")
def test_whichever_worker_answers_tells_the_latest_of_all(tmp_path: Path) -> None:
    bounds = (0.1, 1.0, float("inf"))
    one, two = (Exemplars(NAME, bounds, file_of(tmp_path, slot)) for slot in (0, 1))
    one.observe(0.05)
    one.observe(0.5)
    two.observe(0.06)
    two.observe(99.0)
    one.flush()
    two.flush()
    for worker in (one, two):
        found = {bound: observed.amount for bound, observed in worker.of_all().items()}
        assert found == {0.1: 0.06, 1.0: 0.5, float("inf"): 99.0}


@pytest.mark.usefixtures("placed")
def test_a_workers_file_does_not_grow(tmp_path: Path) -> None:
    worker = Exemplars(NAME, (0.1, 1.0, float("inf")), file_of(tmp_path, 0))
    sizes = set()
    for round_ in range(200):
        for amount in (0.01, 0.5, 5.0):
            worker.observe(amount + round_ / 10_000)
        worker.flush()
        sizes.add(sum(path.stat().st_size for path in tmp_path.iterdir()))
        assert [path.name for path in tmp_path.iterdir()] == ["exemplars_0.json"]
    assert max(sizes) < 3 * 100


@pytest.mark.usefixtures("placed")
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"0":["x"]}', b'{"99":["t",1.0,1.0]}'])
def test_a_file_that_is_none_of_ours_is_no_matter(tmp_path: Path, content: bytes) -> None:
    worker = Exemplars(NAME, (0.1, float("inf")), file_of(tmp_path, 0))
    file_of(tmp_path, 7).write_bytes(content)
    worker.observe(0.05)
    assert list(worker.of_all()) == [0.1]


WORKERS = """
import asyncio, os, sys
from gateway.telemetry import Telemetry, use_slot

async def main(slot: int) -> None:
    use_slot(slot)
    telemetry = Telemetry("0", "kernel", slot)
    for _ in range(1000):
        telemetry.payment("card", "accepted")
        telemetry.payment_seconds.observe(0.004)
        telemetry.answered("payments", 201)
    telemetry.took("bills", 0.5)
    telemetry.flush()
    if len(sys.argv) > 2:
        sys.stdout.write((await telemetry.exposition(sys.argv[2]))[0].decode())

asyncio.run(main(int(sys.argv[1])))
"""


def worker(folder: Path, *words: str) -> str:
    """One worker counts a thousand payments and ends; what it shows if it was asked."""
    done = subprocess.run(
        [sys.executable, "-c", WORKERS, *words],
        cwd=ROOT,
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_workers_are_added_up_over_restarts_and_their_files_do_not_grow(tmp_path: Path) -> None:
    worker(tmp_path, "0")
    worker(tmp_path, "1")
    before = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    # Of two slots, each three times: as a worker that is started again.
    for slot in ("0", "1", "0"):
        worker(tmp_path, slot)
    text = worker(tmp_path, "1", ACCEPT)
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == before
    values = {(sample.name, *sample.labels.values()): sample.value for sample in parsed(text)}
    assert values["kopeck_payments_total", "card", "accepted"] == 6_000
    assert values["kopeck_payment_seconds_bucket", "0.005"] == 6_000
    assert values["kopeck_http_requests_total", "payments", "201"] == 6_000
    assert values["kopeck_http_request_seconds_count", "bills"] == 6
