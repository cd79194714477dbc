"""One wheel, made anew, installs into a clean environment of each Python and serves from there."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.config import PREFIX

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "gateway", "splitcore")
STEP_S = 200
CASE = {"amount": 100, "charges": [{"recipient": "a", "due": 100}, {"recipient": "b", "due": 200}]}


def python_of(version: str) -> str | None:
    """A Python of this version on this machine: ours, one on the PATH, or one of pyenv's."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python3"))]
    code = "import ensurepip, os, sysconfig, venv; os.stat(sysconfig.get_path('include'))"
    for one in (str(path) for path in found if path is not None):
        if subprocess.run([one, "-c", code], capture_output=True, check=False).returncode == 0:
            return one
    return None


def typed(words: Sequence[str | Path], cwd: Path, stdin: str = "", **more: str) -> str:
    """Stdout of a program that has to succeed, without our variables and our packages."""
    ours = (PREFIX, "PYTHON", "SPLITCORE")
    environ = {n: v for n, v in os.environ.items() if not n.startswith(ours)}
    done = subprocess.run(
        words, cwd=cwd, env=environ | more, input=stdin, capture_output=True, text=True,
        timeout=STEP_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(python: str, folder: Path, *packages: str | Path) -> Path:
    """bin/ of a new environment with these packages, of the versions we pin."""
    typed([python, "-m", "venv", folder], ROOT)
    pip: list[str | Path] = [
        folder / "bin/python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    typed([*pip, "--constraint", ROOT / "constraints.txt", *packages], folder)
    return folder / "bin"


def built(python: str, folder: Path, **more: str) -> Path:
    """The wheel, built from a copy of what is ours, so that nothing built before gets in."""
    source = folder / "source"
    source.mkdir()
    unwanted = shutil.ignore_patterns("*.so", "_kernel.c", "__pycache__")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=unwanted)
        else:
            shutil.copy(ROOT / part, source / part)
    tools = environment(python, folder / "tools", "setuptools", "cython")
    words = ["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    words += ["--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    typed([tools / "python", *words], folder, **more)
    return next(folder.glob("kopeck-*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once, by the Python of these tests."""
    return built(sys.executable, tmp_path_factory.mktemp("wheel"))


def served(program: Path, folder: Path) -> None:
    """Starts the gateway, asks whether it is ready, and ends it."""
    with subprocess.Popen(
        [program, "serve", "--data", folder / "var", "--port", "0", "--workers", "1"],
        cwd=folder,
        env={**os.environ, "KOPECK_LOG_AHEAD_MB": "0"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            with urllib.request.urlopen(found[0] + "/readyz", timeout=10) as answer:
                assert answer.status == 200
            with urllib.request.urlopen(found[0] + "/docs", timeout=10) as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_one_wheel_is_for_every_python_from_3_11_on(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    assert [name for name in names if name.endswith(".so")] == ["splitcore/_kernel.abi3.so"]
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {
        "gateway",
        "splitcore",
    }


def test_a_wheel_for_one_python_can_be_asked_for(tmp_path: Path) -> None:
    wheel = built(sys.executable, tmp_path, SPLITCORE_NATIVE="1")
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert f"-{tag}-{tag}-" in wheel.name


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_wheel_installs_and_serves(version: str, wheel: Path, tmp_path: Path) -> None:
    python = python_of(version)
    if python is None:
        pytest.skip(f"THE WHEEL WAS NOT TRIED ON PYTHON {version}: there is none on this machine")
    programs = environment(python, tmp_path / "clean", f"{wheel}[embedded]")
    assert typed([programs / "kopeck", "--version"], tmp_path) == "kopeck 0.1.0\n"
    split = json.loads(typed([programs / "kopeck", "split"], tmp_path, json.dumps(CASE) + "\n"))
    assert sum(share["amount"] for share in split["shares"]) == 100
    kernel: list[str | Path] = [
        programs / "python",
        "-c",
        "import splitcore; print(splitcore.BACKEND)",
    ]
    assert typed(kernel, tmp_path) == "kernel\n"
    served(programs / "kopeck", tmp_path)
    told = json.loads(typed([programs / "kopeck", "doctor", "--json", "--data", "var"], tmp_path))
    assert told["state"] != "ill"
