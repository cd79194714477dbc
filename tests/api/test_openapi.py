"""The OpenAPI document: valid, the same as the router, and its page works offline."""

import re

import orjson
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.api import openapi, pages, table
from gateway.api.routes import EVERYBODY, RouteTable
from tests.api.conftest import Gateway


def document() -> dict[str, object]:
    found: dict[str, object] = orjson.loads(openapi.document(tuple(table.routes()), "0.0.0"))
    return found


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_the_document_is_the_router() -> None:
    routes = RouteTable(table.routes()).routes
    paths = document()["paths"]
    assert isinstance(paths, dict)
    described = {
        (method.upper(), path): operation
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    assert described.keys() == {(route.method, route.path) for route in routes}
    for route in routes:
        operation = described[route.method, route.path]
        open_to_all = route.roles == EVERYBODY or route.key_in_path
        assert operation["security"] == ([] if open_to_all else [{"key": []}])
        keyed = [p for p in operation.get("parameters", ()) if p["name"] == "Idempotency-Key"]
        assert bool(keyed) == route.keyed
        assert operation["summary"]


async def test_the_page_and_what_it_loads_are_ours(gateway: Gateway) -> None:
    page = await gateway.send("GET", "/docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"] == pages.POLICY
    loaded = re.findall(r'(?:src|href|spec-url)="([^"]+)"', page.content.decode())
    assert loaded == ["data:,", "/docs/rapidoc-min.js", "/openapi.json"]
    script = await gateway.send("GET", "/docs/rapidoc-min.js")
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert b"rapi-doc" in script.content
    assert (await gateway.send("GET", "/openapi.json")).json["openapi"] == "3.1.0"
