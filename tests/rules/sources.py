"""The files the house rules read: which there are, and how one is parsed.

A rule is a function from a Source to complaints, so that it can be shown a bad sample as well.
"""

import ast
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("gateway", "splitcore")
TEXT_ENDINGS = (
    *(".py", ".pyi", ".pyx", ".pxd", ".pxi", ".h", ".sql", ".md", ".toml", ".txt", ".yaml", ".yml"),
    *(".sh", ".cfg", ".ini", ".html", ".service", ".timer", ".conf", ".json", ".css", ".js"),
)
TEXT_NAMES = ("Makefile", "Dockerfile", "LICENSE", "run", ".editorconfig", ".gitignore")
# Made by a build or a tool, or reviewed bytes that a bank or a reader of vectors prescribes.
_NOT_OURS = {"build", "dist", "var", "node_modules", "__pycache__", "golden", "vectors"}
_HIDDEN_OURS = {".ci", ".github"}


@dataclass(frozen=True)
class Source:
    """One text file: its path from the root with slashes, and what stands in it."""

    path: str
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def top(self) -> str:
        return self.path.split("/", 1)[0]

    @property
    def module(self) -> str:
        """`gateway.api` for gateway/api/__init__.py, `gateway.api.routes` for routes.py in it."""
        stem = self.path.rsplit(".", 1)[0]
        return stem.removesuffix("/__init__").replace("/", ".")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def imported(self) -> dict[str, str]:
        """What each imported name stands for: `from time import time as t` gives t: time.time."""
        names: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.split(".", 1)[0]
                    names[name] = alias.name if alias.asname else name
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"
        return names

    def dotted(self, node: ast.AST) -> str:
        """The full name of `a.b.c`, imports followed; empty where it is no such thing."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            before = self.dotted(node.value)
            return f"{before}.{node.attr}" if before else ""
        return ""


@cache
def contracts() -> list[dict[str, Any]]:
    """The contracts of import-linter, the road of layers first."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[dict[str, Any]] = config["tool"]["importlinter"]["contracts"]
    return found


def layers() -> list[list[str]]:
    """The road from the top down; modules that share a layer stand in one list."""
    return [[name.strip() for name in layer.split("|")] for layer in contracts()[0]["layers"]]


def rooms() -> list[str]:
    """The longest layer: the rooms, which may not see each other."""
    return max(layers(), key=len)


Rule = Callable[[Source], Iterable[str]]


def _paths(folder: Path) -> Iterator[Path]:
    for base, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _NOT_OURS
            and not name.endswith(".egg-info")
            and (not name.startswith(".") or name in _HIDDEN_OURS)
        )
        for name in sorted(files):
            yield Path(base, name)


@cache
def texts() -> tuple[Source, ...]:
    """Every text file somebody wrote, whatever it holds."""
    return tuple(
        Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for path in _paths(ROOT)
        if path.name in TEXT_NAMES or path.name.endswith(TEXT_ENDINGS)
    )


def python(*tops: str) -> list[Source]:
    """The Python files below these top folders."""
    return [source for source in texts() if source.path.endswith(".py") and source.top in tops]


def expect_none(rule: Rule, sources: Iterable[Source]) -> None:
    """Fails with everything the rule says of these files, one complaint a line."""
    found = [f"{source.path}: {said}" for source in sources for said in rule(source)]
    assert not found, "\n" + "\n".join(found)


def sample(text: str, path: str = "gateway/journal/sample.py") -> Source:
    """A file that is not there, for showing that a rule can fail."""
    return Source(path, text)
