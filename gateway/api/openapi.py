"""The OpenAPI 3.1 document, built from the route table and the bodies' own types.

Nothing is described twice: a path, a field or a code that is not in the code is not in here.
"""

from typing import Any, Final

import msgspec
import orjson

from gateway.api import answers, bodies, problems
from gateway.api.own import BATCH_STATES
from gateway.api.routes import EVERYBODY, NO_BODY, STREAM, Route
from gateway.domain.payment import METHODS

VERSION: Final = "3.1.0"
_ABOUT: Final = (
    "A payment gateway that splits every household payment to the kopeck. Money is whole kopecks, "
    "JSON integers only: a float such as 770.0 is refused, also where JSON Schema would let it "
    "pass for an integer. Errors are RFC 9457 problems with a `code`. Every POST that changes "
    "something takes an Idempotency-Key and answers the same again for ever."
)
_REF: Final = "#/components/schemas/{name}"

_ALWAYS: Final = ("internal", "overloaded", "unavailable")
_WITH_KEY: Final = ("unauthenticated", "forbidden", "rate_limited")
_WITH_BODY: Final = (
    "malformed",
    "request_timeout",
    "body_too_large",
    "unsupported_media_type",
    "expectation_failed",
)
_KEYED: Final = (
    "idempotency_key_missing",
    "idempotency_key_reused",
    "idempotency_key_in_progress",
)

_TAGS: Final = {
    "/v1/payments": "Payments",
    "/v1/quotes": "Payments",
    "/v1/bills": "Bills",
    "/v1/scans": "Bills",
    "/v1/recipients": "Terms",
    "/v1/surcharges": "Terms",
    "/v1/agreements": "Terms",
    "/v1/settlement-batches": "Settlement",
    "/v1/bank-statements": "Settlement",
    "/v1/obligation": "Settlement",
    "/v1/acquirer-reports": "Acquirer reports",
    "/v1/report-policies": "Acquirer reports",
    "/v1/acquirers": "Payments",
    "/v1/arrival-terms": "Reconciliation",
    "/v1/reconciliation": "Reconciliation",
    "/v1/discrepancies": "Reconciliation",
    "/v1/webhooks": "Webhooks",
    "/v1/events": "Webhooks",
    "/osmp": "Biller protocols",
    "/sber": "Biller protocols",
}
_DISCREPANCY: Final = "^dis_(report|statement|line|arrival)_[0-9a-f]{32}_-?[0-9]{1,9}$"
_QUERY: Final[dict[str, dict[str, Any]]] = {
    "subscriber_account": {"type": "string", "pattern": bodies.ACCOUNT_PATTERN},
    "from": {"type": "string", "format": "date-time", "description": "The earliest accepted_at"},
    "to": {"type": "string", "format": "date-time", "description": "Before this accepted_at"},
    "cursor": {
        "type": "string",
        "pattern": "^(pay|agr)_[0-9a-f]{32}$",
        "description": "next_cursor of the page before",
    },
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
    "recipient": {
        "type": "string",
        "pattern": "^[A-Za-z0-9._-]{1,64}$",
        "description": "Whose; a recipient's key has no need of it",
    },
    "acquirer": {"type": "string", "minLength": 1, "maxLength": 64},
    "state": {"type": "string", "enum": ["proposed", "approved", "rejected"]},
    "after": {
        "type": "integer",
        "minimum": 0,
        "maximum": 2**53,
        "default": 0,
        "description": "The last sequence that was read",
    },
    "open": {"type": "string", "enum": ["true", "false"], "description": "Whether any remains"},
    "before": {"type": "integer", "minimum": 1, "maximum": 2**53},
    "/v1/discrepancies cursor": {
        "type": "string",
        "pattern": _DISCREPANCY,
        "description": "next_cursor of the page before",
    },
    "/v1/discrepancies state": {
        "type": "string",
        "enum": ["open", "proposed", "resolved", "settled", "all"],
        "default": "open",
    },
    "/v1/settlement-batches cursor": {
        "type": "string",
        "pattern": "^sb_[0-9a-f]{32}$",
        "description": "next_cursor of the page before",
    },
    "/v1/settlement-batches state": {"type": "string", "enum": list(BATCH_STATES)},
    "kind": {"type": "string", "examples": ["money-not-arrived"]},
    "side": {"type": "string", "enum": ["acquirer", "bank", "centre", "recipient"]},
    "older_than": {"type": "integer", "minimum": 0, "maximum": 3650, "description": "Days"},
    "day": {"type": "string", "format": "date", "description": "yyyy-mm-dd; without it today"},
    "command": {"type": "string", "examples": ["check", "pay"]},
    "txn_id": {"type": "string", "pattern": "^[0-9]{1,20}$"},
    "txn_date": {"type": "string", "description": "YYYYMMDDHHMMSS of Moscow"},
    "account": {"type": "string", "pattern": bodies.ACCOUNT_PATTERN},
    "sum": {"type": "string", "examples": ["200.00"]},
    "cancel_txn_id": {"type": "string", "pattern": "^[0-9]{1,20}$"},
    "ACTION": {"type": "string", "examples": ["check", "payment"]},
    "ACCOUNT": {"type": "string", "pattern": bodies.ACCOUNT_PATTERN},
    "AMOUNT": {"type": "string", "examples": ["200.00"]},
    "PAY_ID": {"type": "string", "pattern": "^[0-9]{1,20}$"},
    "PAY_DATE": {"type": "string", "description": "DD.MM.YYYY_HH24:MI:SS of Moscow"},
}


def document(routes: tuple[Route, ...], version: str) -> bytes:
    """The document as JSON."""
    types = {route.asks for route in routes if route.asks is not None}
    for route in routes:
        for shapes in (route.answers or {}).values():
            types |= set(_several(shapes))
    types.add(answers.ProblemShown)
    ordered = sorted(types, key=lambda shape: shape.__name__)
    _, schemas = msgspec.json.schema_components(ordered, schema_hook=_anything, ref_template=_REF)
    schemas["ProblemShown"]["properties"]["code"]["enum"] = list(problems.PROBLEMS)
    _exactly_one_amount(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return orjson.dumps(
        {
            "openapi": VERSION,
            "info": {"title": "Kopeck", "version": version, "description": _ABOUT},
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _anything(kind: type) -> dict[str, Any]:
    """Where a type of ours says `object` (what the billing centre tells of a payer)."""
    if kind is not object:
        raise NotImplementedError
    return {"description": "Any JSON value"}


def _exactly_one_amount(schemas: dict[str, Any]) -> None:
    for name in ("PaymentBody", "BulkPaymentBody", "QuoteBody"):
        if name in schemas:
            schemas[name]["oneOf"] = [{"required": ["amount"]}, {"required": ["total"]}]


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [_tag(route.path)],
        "summary": route.summary,
        "responses": _responses(route),
    }
    parameters = _parameters(route)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not NO_BODY and (route.asks is not None or route.takes):
        operation["requestBody"] = _request_body(route)
    if route.roles == EVERYBODY:
        operation["security"] = []
    elif route.key_in_path:
        operation["security"] = []
        operation["description"] = (
            f"Role: {', '.join(sorted(route.roles))}; its key is the last segment of the path."
        )
    else:
        operation["security"] = [{"key": []}]
        operation["description"] = f"Role: {', '.join(sorted(route.roles))}."
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in route.path.split("{")[1:]:
        name = part.partition("}")[0]
        schema: dict[str, Any] = {"type": "string", "pattern": _pattern(route.path, name)}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    for name in route.query:
        shape = _QUERY.get(f"{route.path} {name}") or _QUERY[name]
        found.append({"name": name, "in": "query", "required": False, "schema": shape})
    if route.formats:
        schema = {"type": "string", "enum": list(route.formats), "default": route.formats[0]}
        found.append({"name": "format", "in": "query", "required": False, "schema": schema})
    if route.preferences:
        schema = {"type": "string", "examples": list(route.preferences)}
        found.append({"name": "Prefer", "in": "header", "required": False, "schema": schema})
    if route.keyed:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            }
        )
    return found


def _tag(path: str) -> str:
    for begin, tag in _TAGS.items():
        if path.startswith(begin):
            return tag
    return "Operation"


def _pattern(path: str, name: str) -> str:
    if name == "subscriber_account":
        return bodies.ACCOUNT_PATTERN
    if name == "secret":
        return "^[A-Za-z0-9_-]{8,256}$"
    if name == "method":
        return f"^({'|'.join(METHODS)})$"
    if name == "refund":
        return "^ref_[0-9a-f]{32}$"
    if name == "id" and path.startswith("/v1/discrepancies"):
        return _DISCREPANCY
    if name == "id" and path.startswith("/v1/payments"):
        return "^pay_[0-9a-f]{32}$"
    if name == "id" and path.startswith("/v1/acquirer-reports"):
        return "^rep_[0-9a-f]{32}$"
    if name == "id" and path.startswith("/v1/bank-statements"):
        return "^bst_[0-9a-f]{32}$"
    if name == "id" and path.startswith("/v1/obligations"):
        return "^obl_[0-9a-f]{32}$"
    if name == "id" and path.startswith("/v1/obligation-withdrawals"):
        return "^obw_[0-9a-f]{32}$"
    if name == "id" and path.startswith("/v1/events"):
        return "^evt_[0-9a-f]{32}$"
    if name == "id" and path.startswith("/v1/agreements"):
        return "^agr_[0-9a-f]{32}$"
    if name == "id" and path.startswith("/v1/settlement-batches"):
        return "^sb_[0-9a-f]{32}$"
    return "^[A-Za-z0-9._-]{1,64}$"


def _request_body(route: Route) -> dict[str, Any]:
    if route.form:
        fields = {name: _QUERY[name] for name in route.form}
        schema: dict[str, Any] = {"type": "object", "properties": fields}
        form = {kind: {"schema": schema} for kind in route.takes}
        return {"required": False, "content": form}
    if route.takes:
        file = {"schema": {"type": "string", "format": "binary"}}
        content: dict[str, Any] = dict.fromkeys(route.takes, file)
        if route.asks is not None:
            content["application/json"] = {"schema": _schema_of(route.asks)}
        return {"required": True, "content": content}
    if route.asks is None:
        return {}
    schema = _schema_of(route.asks)
    if route.body is not STREAM:
        required = not route.may_be_empty
        return {"required": required, "content": {"application/json": {"schema": schema}}}
    lines = {"schema": {"type": "string"}}
    content = {"application/x-ndjson": lines}
    if route.keyed:
        content["application/json"] = {"schema": schema}
    return {"required": True, "content": content}


def _schema_of(asks: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=asks.__name__)}


def _several(shapes: Any) -> tuple[type[msgspec.Struct], ...]:
    """An answer of one shape, of one of several, or of none that is told."""
    if shapes is None:
        return ()
    return shapes if isinstance(shapes, tuple) else (shapes,)


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, shape in (route.answers or {}).items():
        known = [_schema_of(one) for one in _several(shape)]
        schema: dict[str, Any] = {"anyOf": known} if len(known) > 1 else dict(*known)
        responses[str(status)] = {
            "description": "Done",
            "content": {kind: {"schema": schema} for kind in route.answer_types},
        }
        told = dict(route.headers)
        if route.keyed:
            told["Idempotency-Replayed"] = "true where this was answered before"
        if told:
            responses[str(status)]["headers"] = {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in told.items()
            }
    by_status: dict[int, list[str]] = {}
    for code in codes_of(route):
        by_status.setdefault(problems.status_of(code), []).append(code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = {
            "description": ", ".join(codes),
            "content": {
                problems.MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="ProblemShown")}}
            },
        }
    return responses


def codes_of(route: Route) -> list[str]:
    """Every code a route may answer with, each once."""
    codes = [*_ALWAYS, *route.codes, "malformed"]
    if route.roles != EVERYBODY:
        codes += _WITH_KEY
    if route.body is not NO_BODY:
        codes += _WITH_BODY
    if route.keyed:
        codes += _KEYED
    if "{" in route.path:
        codes.append("not_found")
    return list(dict.fromkeys(codes))
