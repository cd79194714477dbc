"""Every module can be the first one imported, and importing it starts nothing.

One interpreter loads the libraries and none of ours, then forks a child for each module: as good as
a fresh interpreter each, at a hundredth of the time.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.rules.sources import PRODUCT, ROOT, python

ALONE = """
import os, sys, threading, traceback
import aiohttp.web, asyncpg, click, msgspec, orjson, prometheus_client, redis.asyncio, rich, uvloop
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        try:
            __import__(name)
            if threading.active_count() > 1:
                raise RuntimeError("importing it started a thread")
        except BaseException:
            print(name, traceback.format_exc().strip().splitlines()[-1], flush=True)
        os._exit(0)
    os.waitpid(child, 0)
print("done", flush=True)
"""


def import_alone(root: Path, modules: Sequence[str]) -> list[str]:
    """What each module that could not be imported said."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(root), *modules],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=240,
    )
    lines = done.stdout.splitlines()
    if lines[-1:] != ["done"]:
        return [f"the interpreter ended early: {done.stderr.strip()[-400:]}"]
    return lines[:-1]


def test_every_module_imports_alone() -> None:
    modules = sorted(source.module for source in python(*PRODUCT))
    found = import_alone(ROOT, modules)
    assert not found, "\n".join(found)


def test_rule_sees_a_circle_and_a_thread(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("from two import b\na = 1\n")
    (tmp_path / "two.py").write_text("from one import a\nb = 2\n")
    (tmp_path / "busy.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n"
    )
    (tmp_path / "quiet.py").write_text("c = 3\n")
    said = import_alone(tmp_path, ["one", "two", "busy", "quiet"])
    assert [line.split()[0] for line in said] == ["one", "two", "busy"]
