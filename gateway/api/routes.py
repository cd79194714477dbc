"""The table of paths: who may use each, what it takes and what it answers.

A route without a role policy cannot be made, and the table is checked when a worker starts.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import web
from msgspec import Struct

from gateway.api import plain
from gateway.api.call import Call, House
from gateway.api.replies import Reply
from gateway.api.request import Request
from gateway.config import StartRefused
from gateway.domain.party import ROLES

View = Callable[[House, Call], Awaitable[Reply | web.StreamResponse]]

InOwnWords = Callable[[House, Request, Exception], Reply]

EVERYBODY: Final = frozenset[str]({"*"})
"""The policy of a route that asks for no key."""

NO_BODY: Final = "none"
JSON_BODY: Final = "json"
STREAM: Final = "stream"

_PARAMETER: Final = re.compile(r"\{([a-z_]+)\}")
_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE"})


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method on one path.

    `roles`: who may use it, or EVERYBODY. `body`: NO_BODY, JSON_BODY (read whole, bounded) or
    STREAM (the view reads it line by line). `keyed`: takes an Idempotency-Key. `gated`: is
    refused early when too many payments wait. `formats`: values of the query's format. `takes`:
    media types of a body that is a file, or a form with the fields `form`. `key_in_path`: the
    caller's key is the last value of the path, and no header is looked at. `in_own_words` answers
    what fails once the caller is let in, for a protocol that has no problems. The rest is for the
    OpenAPI document.
    """

    method: str
    path: str
    name: str
    view: View
    roles: frozenset[str]
    body: str = NO_BODY
    keyed: bool = False
    gated: bool = False
    key_in_path: bool = False
    in_own_words: InOwnWords | None = None
    summary: str = ""
    asks: type[Struct] | None = None
    answers: Mapping[int, Any] | None = None
    codes: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    may_be_empty: bool = False
    takes: tuple[str, ...] = ()
    form: tuple[str, ...] = ()
    answer_types: tuple[str, ...] = ("application/json",)
    headers: tuple[tuple[str, str], ...] = ()
    preferences: tuple[str, ...] = ()


def check(routes: list[Route]) -> None:
    """Raises StartRefused for a table that leaves anything open."""
    seen: set[tuple[str, str]] = set()
    for route in routes:
        place = f"{route.method} {route.path}"
        if not route.roles or not (route.roles == EVERYBODY or route.roles <= set(ROLES)):
            raise StartRefused(f"Expected a role policy on {place}, was none that is known")
        if route.method not in _METHODS:
            raise StartRefused(f"Expected {place} to be one of {', '.join(sorted(_METHODS))}")
        if route.keyed and route.method != "POST":
            raise StartRefused(f"Expected only POST to take a key, was {place}")
        if (route.method, route.path) in seen:
            raise StartRefused(f"Expected {place} once in the table, was twice")
        seen.add((route.method, route.path))


class RouteTable:
    """Finds the route of a request: by its whole path, else by the patterns in their order."""

    def __init__(self, routes: list[Route]) -> None:
        check(routes)
        self.routes = tuple(routes)
        self._whole: dict[str, dict[str, Route]] = {}
        patterns: dict[str, dict[str, Route]] = {}
        for route in routes:
            fixed = _PARAMETER.search(route.path) is None
            by_path = self._whole if fixed else patterns
            by_path.setdefault(route.path, {})[route.method] = route
        self._patterns = [(pattern_of(path), methods) for path, methods in patterns.items()]

    def hot(self) -> Route:
        """The route of the hot road."""
        return self._whole[plain.PATH]["POST"]

    def find(self, method: str, path: str) -> tuple[Route | None, tuple[str, ...], list[str]]:
        """Route, values of its path and the methods of the path; no methods: no such path.

        `path` is as it came, still percent-encoded, so that a %2F cannot change the route.
        """
        methods = self._whole.get(path)
        if methods is not None:
            return methods.get(method), (), sorted(methods)
        for pattern, methods in self._patterns:
            match = pattern.fullmatch(path)
            if match is not None:
                try:
                    told = tuple(unquote(part, errors="strict") for part in match.groups())
                except UnicodeDecodeError:
                    return None, (), []
                if any("\x00" in value for value in told):
                    return None, (), []
                return methods.get(method), told, sorted(methods)
        return None, (), []


def pattern_of(path: str) -> re.Pattern[str]:
    """What a path of the table matches. A subscriber account may hold slashes, nothing else."""
    parts = _PARAMETER.split(path)
    for at in range(1, len(parts), 2):
        parts[at] = "(.+)" if parts[at] == "subscriber_account" else "([^/]+)"
    for at in range(0, len(parts), 2):
        parts[at] = re.escape(parts[at])
    return re.compile("".join(parts))
