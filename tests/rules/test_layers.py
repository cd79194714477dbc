"""The contracts of pyproject.toml hold for this tree, and each of them can fail.

import-linter does not read Cython, so the kernel's imports are held to a list here.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rules.sources import ROOT, Source, expect_none, layers, sample, texts

KERNEL_MAY_IMPORT = re.compile(
    r"libc\.\w+|cython|cpython\.\w+|splitcore\.(?:errors|limits|fees|shapes)"
)
_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+)?c?import\s+(.+)")


def linted(root: Path) -> tuple[bool, str]:
    """Whether the contracts hold for the packages in `root`, and what import-linter said."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def road(tmp_path: Path) -> Path:
    """An empty house with every room of the contracts, and the contracts themselves."""
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    modules = [f"gateway/{module}" for layer in layers() for module in layer]
    for folder in ("splitcore", "gateway", *modules):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    return tmp_path


def test_this_tree_keeps_the_contracts() -> None:
    kept, said = linted(ROOT)
    assert kept, said


def test_an_import_down_the_road_is_kept(road: Path) -> None:
    (road / "gateway/app/__init__.py").write_text("import gateway.api\nimport gateway.storage\n")
    (road / "gateway/journal/store.py").write_text("import asyncpg\nimport gateway.domain\n")
    (road / "gateway/api/rate_limit.py").write_text("import redis.asyncio\n")
    (road / "gateway/domain/__init__.py").write_text("import splitcore\n")
    kept, said = linted(road)
    assert kept, said


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("gateway/journal/cards.py", "import gateway.bills"),
        ("gateway/storage/pool.py", "import gateway.journal"),
        ("gateway/telemetry/__init__.py", "import gateway.config"),
        ("gateway/flows/refund.py", "import gateway.api"),
        ("gateway/flows/refund.py", "import asyncpg"),
        ("gateway/api/routes.py", "import redis"),
        ("gateway/domain/money.py", "import asyncio"),
        ("splitcore/fees.py", "import orjson"),
        ("splitcore/fees.py", "import gateway.domain"),
        ("gateway/annex.py", "# a module without a place on the road"),
    ],
)
def test_an_import_off_the_road_is_caught(road: Path, path: str, text: str) -> None:
    (road / path).write_text(text + "\n")
    kept, said = linted(road)
    assert not kept
    assert "BROKEN" in said or "annex" in said


def kernel_imports(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.lines, 1):
        found = _IMPORT.match(line)
        if found is None or (found[1] and KERNEL_MAY_IMPORT.fullmatch(found[1])):
            continue
        for named in found[2].split(","):
            name = f"{found[1]}.{named.strip()}" if found[1] else named.split()[0]
            if not KERNEL_MAY_IMPORT.fullmatch(name):
                yield f"line {number}: the kernel may not import {name}"


def test_the_kernel_imports_numbers_alone() -> None:
    kernels = [source for source in texts() if source.path.endswith((".pyx", ".pxd", ".pxi"))]
    assert kernels
    expect_none(kernel_imports, kernels)


def test_rule_of_the_kernel_can_fail() -> None:
    bad = (
        "from libc.stdint cimport int64_t\nfrom splitcore import errors\n"
        "import json, cython\nfrom gateway.domain import x\nfrom splitcore import reference\n"
    )
    assert [said.split(":")[0] for said in kernel_imports(sample(bad, "splitcore/s.pyx"))] == [
        "line 3",
        "line 4",
        "line 5",
    ]
