"""Traces, as a collector of OTLP gets them: the tree of a payment, and nothing personal in it."""

import asyncio
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as told
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway import tracing
from gateway.flows.accept_payment import LONG_WAY_GROUPS
from gateway.storage.statements import name_of
from tests.api.conftest import RECIPIENTS, Gateway, bill, payment, recipient, served
from tests.rules.sources import ROOT

CALLERS_TRACE = "0af7651916cd43dd8448eb211c80319c"
OTHER_TRACE = "1af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{CALLERS_TRACE}-b7ad6b7169203331-01"


class Collector:
    """What came, span by span, whatever the loop of the tests is doing."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.bytes = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.rfile.read(int(self.headers["Content-Length"])))
                content = told.ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def take(self, content: bytes) -> None:
        self.bytes += content
        for resource in told.ExportTraceServiceRequest.FromString(content).resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@asynccontextmanager
async def traced(
    url: str, traces_url: str, share: int = 1_000_000, lines: list[bytes] | None = None
) -> AsyncIterator[Gateway]:
    """A worker with traces and a bill to pay."""
    write = None if lines is None else lines.append
    with tracing.exporting(traces_url, share, "0.0.0", 1):
        async with served(url, write=write) as gateway:
            for id_ in RECIPIENTS:
                await gateway.send("PUT", f"/v1/recipients/{id_}", recipient(id_), role="operator")
            answer = await gateway.send(
                "POST", "/v1/bills", {"bills": [bill()]}, role="operator", key=gateway.key()
            )
            assert answer.status == 200
            yield gateway


def attributes(span: Span) -> dict[str, object]:
    return {
        one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes
    }


async def test_one_payment_is_a_tree(database_url: str, collector: Collector) -> None:
    lines: list[bytes] = []
    async with traced(database_url, collector.url, lines=lines) as gateway:
        # The first one learns the terms; some groups later a lone payment is two statements.
        for _ in range(LONG_WAY_GROUPS + 3):
            await gateway.pay(payment(amount=100))
        answer = await gateway.pay(payment(), headers={"traceparent": TRACEPARENT})
        assert answer.status == 201
        other = {"traceparent": TRACEPARENT.replace(CALLERS_TRACE, OTHER_TRACE)}
        refused = await gateway.pay(payment(amount="x"), headers=other)
    of_caller = [span for span in collector.spans if span.trace_id.hex() == CALLERS_TRACE]
    (request,) = [span for span in of_caller if span.name == "POST /v1/payments"]
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    assert request.kind == Span.SPAN_KIND_SERVER
    seen = attributes(request)
    assert seen == {
        "http.response.status_code": 201,
        "http.request.method": "POST",
        "http.route": "/v1/payments",
        "kopeck.outcome": "accepted",
        "kopeck.caller": seen["kopeck.caller"],
    }
    assert type(seen["kopeck.caller"]) is int
    (group,) = [span for span in of_caller if span.name == "commit group"]
    assert group.parent_span_id == request.span_id
    assert [(link.trace_id, link.span_id) for link in group.links] == [
        (request.trace_id, request.span_id)
    ]
    assert attributes(group) == {"kopeck.payments": 1}
    statements = [span for span in of_caller if span.parent_span_id == group.span_id]
    assert [span.name for span in statements] == ["SELECT open_bills", "SELECT commit_one"]
    # Whatever else there is of it, such as a look for the caller's key, stands under the request.
    known = {request.span_id, group.span_id}
    assert all(span is request or span.parent_span_id in known for span in of_caller)
    assert "COPY payments" in {span.name for span in collector.spans}
    for span in statements:
        assert span.kind == Span.SPAN_KIND_CLIENT
        assert attributes(span) == {"db.system.name": "postgresql"}
        assert span.start_time_unix_nano < span.end_time_unix_nano
    asked = ((answer, CALLERS_TRACE), (refused, OTHER_TRACE))
    for line, (told_in, trace) in zip(map(orjson.loads, lines[-2:]), asked, strict=True):
        assert (line["route"], line["trace_id"]) == ("payments", trace)
        assert told_in.headers["traceresponse"].split("-")[1] == trace
    assert answer.headers["traceresponse"] == f"00-{CALLERS_TRACE}-{request.span_id.hex()}-01"


async def test_a_request_without_a_trace_is_found_by_its_answer(
    database_url: str, collector: Collector
) -> None:
    lines: list[bytes] = []
    async with traced(database_url, collector.url, lines=lines) as gateway:
        answer = await gateway.pay(payment(amount=100))
    _, trace, span, flags = answer.headers["traceresponse"].split("-")
    assert orjson.loads(lines[-1])["trace_id"] == trace
    found = [one for one in collector.named("POST /v1/payments") if one.trace_id.hex() == trace]
    assert [one.span_id.hex() for one in found] == [span]
    assert flags == "01"


async def test_a_group_is_linked_to_each_of_its_payments(
    database_url: str, collector: Collector
) -> None:
    async with traced(database_url, collector.url) as gateway:
        await asyncio.gather(*(gateway.pay(payment(amount=100 + n)) for n in range(20)))
    requests = {span.span_id for span in collector.named("POST /v1/payments")}
    linked = [link.span_id for group in collector.named("commit group") for link in group.links]
    assert set(linked) == requests
    counts = [attributes(group)["kopeck.payments"] for group in collector.named("commit group")]
    assert sum(map(int, map(str, counts))) == 20


async def test_nothing_personal_leaves(database_url: str, collector: Collector) -> None:
    async with traced(database_url, collector.url) as gateway:
        await gateway.pay(payment(), key="private-key-1")
        await gateway.pay(payment(subscriber_account="secret-account"), key="private-key-2")
        await gateway.pay(payment(amount="x"), key="private-key-3")
        await gateway.send("GET", "/v1/bills/220012345?odd=private-query")
        await gateway.send("GET", "/private-path")
        await gateway.send("GET", "/v1/payments?subscriber_account=220012345")
        await gateway.send("POST", "/v1/settlement-batches", {}, role="operator", key="private-4")
    for personal in (
        *(b"220012345", b"secret-account", b"427644", b"private", b"bank-op", b"kp_test"),
        *(b"100000", b"heat", "АО".encode(), b"VALUES", b"private-query"),
    ):
        assert personal not in collector.bytes, personal
    names = {span.name for span in collector.spans}
    assert all(re.fullmatch(r"[A-Za-z0-9_/{}.\- ]+", name) for name in names), names
    assert {"settlement close", "settlement count", "bills load", "request"} <= names
    failed = [span for span in collector.spans if span.status.code == 2]
    assert all(re.fullmatch(r"[A-Za-z_]+", span.status.message) for span in failed)
    assert all(not span.events for span in collector.spans)


async def test_a_share_of_traces_is_sent(database_url: str, collector: Collector) -> None:
    lines: list[bytes] = []
    async with traced(database_url, collector.url, share=0, lines=lines) as gateway:
        await gateway.pay(payment(), headers={"traceparent": TRACEPARENT})
        assert orjson.loads(lines[-1])["trace_id"] == CALLERS_TRACE
    # Whatever waited was sent at the end.
    assert collector.spans == []


async def test_payments_go_on_without_a_collector(database_url: str) -> None:
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        nobody.listen(1)
        # It takes a connection and never answers; the next one finds nobody.
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1/traces"
        async with traced(database_url, url) as gateway:
            answers = await asyncio.gather(*(gateway.pay(payment(amount=100)) for _ in range(50)))
    assert {answer.status for answer in answers} == {201}


def test_without_a_url_nothing_of_it_is_imported(database_url: str) -> None:
    script = """
import asyncio, sys
from tests.api.conftest import payment, served

async def main() -> None:
    async with served(sys.argv[1]) as gateway:
        assert (await gateway.pay(payment())).status == 201

asyncio.run(main())
print(sorted(one for one in sys.modules if one.startswith(("opentelemetry", "google.protobuf"))))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, database_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra is not installed."""
    monkeypatch.setitem(sys.modules, "gateway.tracing.otel", None)


@pytest.mark.usefixtures("missing")
def test_without_the_extra_it_is_said() -> None:
    with pytest.raises(tracing.NotInstalled), tracing.exporting("http://x.example", 1, "0", 1):
        pass
    assert not tracing.on()


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("SELECT account FROM open_bills WHERE account = ANY($1)", "SELECT open_bills"),
        ("SELECT * FROM begin_group($1, $2)", "SELECT begin_group"),
        ("WITH x AS (SELECT 1) INSERT INTO payments SELECT 2 FROM x", "INSERT payments"),
        ("UPDATE open_bills SET paid = 1", "UPDATE open_bills"),
        ("BEGIN; SELECT pg_advisory_xact_lock(7301)", "BEGIN pg_advisory_xact_lock"),
        ("COMMIT", "COMMIT"),
        ("", "statement"),
    ],
)
def test_statements_are_named(query: str, name: str) -> None:
    assert name_of(query) == name
