"""What README tells a reader to type is there to be typed, and what it links to exists."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

from tests.rules.sources import ROOT, Source, expect_none, sample

_CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
_MAKE = re.compile(r"(?:^|[\s;&|])make ((?:[a-z-]+ ?)+)", re.MULTILINE)
_KOPECK = re.compile(r"(?:^|[\s;&|(/])kopeck(?: +([a-z][a-z-]*))([^\n|;&`)]*)", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def shown_help(*words: str) -> str | None:
    """What `kopeck WORDS --help` prints, None where there is no such command."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *words, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout if done.returncode == 0 else None


def untrue(source: Source) -> Iterator[str]:
    """Make targets, commands, their options and files that are named and not there."""
    for block, inline in _CODE.findall(source.text):
        code = (block or inline).replace("\\\n", " ")
        for words in _MAKE.findall(code):
            yield from (
                f"no target: make {word}" for word in words.split() if word not in targets()
            )
        for command, rest in _KOPECK.findall(code):
            told = shown_help(command)
            sub = re.match(r" +([a-z][a-z-]*)", rest)
            if told is not None and "COMMAND" in told and sub:
                told = shown_help(command, sub[1])
            if told is None:
                yield f"no command: kopeck {command}{sub[0] if sub else ''}"
                continue
            for option in re.findall(r"--[a-z][a-z-]*", rest):
                if not re.search(re.escape(option) + r"\b(?!-)", told):
                    yield f"no option: kopeck {command} {option}"
    for link in _LINK.findall(source.text):
        if "://" not in link and not (ROOT / source.path).parent.joinpath(link).exists():
            yield f"no file: {link}"


def not_there(source: Source) -> Iterator[str]:
    """Modules and test folders that a make target starts and that do not exist."""
    for name in re.findall(r"python -m (loadtests[\w.]*)", source.text):
        if not (ROOT / name.replace(".", "/")).with_suffix(".py").exists():
            yield f"no module: {name}"
    for folder in re.findall(r"\btests/[\w/]+", source.text):
        if not any((ROOT / folder).glob("test_*.py")):
            yield f"no tests: {folder}"


def pages() -> list[Source]:
    names = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md", "splitcore/README.md")
    found = [ROOT / name for name in names if (ROOT / name).exists()]
    found += sorted(ROOT.glob("docs/**/*.md")) + sorted(ROOT.glob("loadtests/*.md"))
    return [Source(path.relative_to(ROOT).as_posix(), path.read_text()) for path in found]


def test_readme_shows_the_first_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme


def test_what_the_pages_tell_is_true() -> None:
    expect_none(untrue, pages())


def test_what_make_starts_is_there() -> None:
    makefile = Source("Makefile", (ROOT / "Makefile").read_text())
    expect_none(not_there, [makefile])
    bad = "fly:\n\tpython -m loadtests.wings\n\tpytest tests/feathers\n"
    assert list(not_there(sample(bad))) == [
        "no module: loadtests.wings",
        "no tests: tests/feathers",
    ]


def test_rule_of_pages_can_fail() -> None:
    bad = (
        "Run `make demolish`, then `.venv/bin/kopeck frobnicate`.\n"
        "```sh\nmake check tests\nkopeck serve --wings 2\n```\nSee [more](docs/nowhere.md#a).\n"
    )
    assert list(untrue(sample(bad, "README.md"))) == [
        "no target: make demolish",
        "no command: kopeck frobnicate",
        "no target: make tests",
        "no option: kopeck serve --wings",
        "no file: docs/nowhere.md",
    ]
