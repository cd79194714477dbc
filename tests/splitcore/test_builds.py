"""The suite holds on three builds: release (the ordinary run), debug with checks, and pure.

The debug kernel is compiled into a directory of its own, so that the release stays as it is.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "tests" / "splitcore"
EXAMPLES = "4000"  # compared cases of each property; the release compares them all
TOLD = "import splitcore, splitcore._kernel as k; print(splitcore.BACKEND, k.BUILD, k.__file__)"


def run(*command: str, where: Path, **switches: str) -> subprocess.CompletedProcess[str]:
    """A command that imports the package at `where`, and the tests from the tree."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONPATH": os.pathsep.join([str(where), str(ROOT)]),
        "PYTHONSAFEPATH": "1",
        "KOPECK_TEST_EXAMPLES": EXAMPLES,
        **switches,
    }
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280
    )


def expect_suite(where: Path, *ignored: str, **switches: str) -> None:
    """The whole suite but `ignored` passes on the package at `where`."""
    done = run(
        *(sys.executable, "-m", "pytest", "-q", str(SUITE)),
        *("-p", "no:cacheprovider", "-o", f"pythonpath={where} {ROOT}"),
        *(f"--ignore={SUITE / name}" for name in ("test_builds.py", *ignored)),
        where=where,
        **switches,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = [word for word in done.stdout.split() if word.isdigit()]
    assert int(passed[-1]) > 500, done.stdout[-400:]


@pytest.fixture(scope="module")
def debug_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the package and its kernel compiled for debugging."""
    build = tmp_path_factory.mktemp("debug")
    source = build / "source"
    source.mkdir()
    ignore = shutil.ignore_patterns("*.so", "*.pyd", "*.c", "__pycache__")
    shutil.copytree(ROOT / "splitcore", source / "splitcore", ignore=ignore)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(build)],
        cwd=source,
        env={**os.environ, "SPLITCORE_DEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "warning" not in done.stderr, done.stderr[-4000:]
    shutil.copytree(source / "splitcore", build / "splitcore", ignore=ignore, dirs_exist_ok=True)
    return build


def test_the_release_is_the_ordinary_run() -> None:
    assert run(sys.executable, "-c", TOLD, where=ROOT).stdout.split()[:2] == ["kernel", "release"]


@pytest.mark.timeout(600)
def test_the_suite_on_the_debug_build(debug_build: Path) -> None:
    backend, build, file = run(sys.executable, "-c", TOLD, where=debug_build).stdout.split()
    assert (backend, build) == ("kernel", "debug")
    assert Path(file).is_relative_to(debug_build)
    expect_suite(debug_build)


@pytest.mark.timeout(600)
def test_the_suite_on_the_reference() -> None:
    told = run(sys.executable, "-c", TOLD, where=ROOT, SPLITCORE_PURE="1")
    assert told.stdout.split()[0] == "reference"
    # These two are about the kernel, whichever backend is chosen; here they add nothing.
    expect_suite(ROOT, "test_differential.py", "test_kernel_threads.py", SPLITCORE_PURE="1")
