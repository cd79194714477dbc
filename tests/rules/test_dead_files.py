"""Every file of the product is used by the product; a test alone does not keep one alive."""

import ast
from collections.abc import Iterable

from tests.rules.sources import PRODUCT, Source, python, sample

# Started from outside: the command, `python -m gateway`, and the phone of docs/apple-pay.md.
ENTRANCES = {"gateway.__main__", "gateway.demo.phone"}
# Its commands are imported by name when one is used; the names stand there as strings.
COMMANDS = "gateway/cli/__init__.py"
PREFIXES = tuple(f"{top}." for top in PRODUCT)


def named_modules(source: Source) -> set[str]:
    """Modules this file imports, or starts by their dotted name."""
    named: set[str] = set()
    for node in source.nodes:
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = source.module.split(".")
                up = node.level - source.path.endswith("__init__.py")
                base = ".".join([*package[: len(package) - up], *([base] if base else [])])
            named.add(base)
            named.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith(PREFIXES):
            named.add(str(node.value))
        elif isinstance(node, ast.Constant) and source.path == COMMANDS:
            named.add(f"gateway.cli.{node.value!s}")
    return named


def dead(sources: Iterable[Source]) -> list[str]:
    sources = list(sources)
    named = {source.path: named_modules(source) for source in sources}
    return [
        source.path
        for source in sources
        if not source.path.endswith("__init__.py")
        and source.module not in ENTRANCES
        and not any(source.module in names for path, names in named.items() if path != source.path)
    ]


def test_no_file_is_dead() -> None:
    found = dead(python(*PRODUCT))
    assert not found, "\n".join(found)


def test_rule_of_dead_files_can_fail() -> None:
    files = [
        sample("import gateway.cli\n", "gateway/__main__.py"),
        sample('COMMANDS = ("serve",)\n', COMMANDS),
        sample('start("gateway.app")\n', "gateway/cli/serve.py"),
        sample("from gateway.api import routes\n", "gateway/app.py"),
        sample("from . import pages\n", "gateway/api/routes.py"),
        sample("", "gateway/api/pages.py"),
        sample("import gateway.api.forgotten\n", "gateway/api/forgotten.py"),
    ]
    assert dead(files) == ["gateway/api/forgotten.py"]
