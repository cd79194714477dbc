"""No file names a path of the machine it was written on: others do not have it."""

import re
from collections.abc import Iterator

from tests.rules.sources import Source, expect_none, sample, texts

# A first component that is somebody's home, a mount or a scratch place; system folders are fine.
MACHINE_PATH = re.compile(
    r"(?<![\w.\-/$}*])/(?:home|root|work|workspace|builds|mnt|media|tmp|Users|private|farm)"
    r"(?:/|(?=[\s\"'`),;:]|$))|\b[A-Z]:\\\\?[A-Za-z]"
)
# This rule and its bad samples.
ALLOWED = {"tests/rules/test_docs_no_machine_paths.py": "the rule itself"}


def machine_paths(source: Source) -> Iterator[str]:
    if source.path in ALLOWED:
        return
    for number, line in enumerate(source.lines, 1):
        if found := MACHINE_PATH.search(line):
            yield f"line {number}: a path of one machine: {line[found.start() :][:30]}"


def test_no_file_names_a_path_of_this_machine() -> None:
    expect_none(machine_paths, texts())


def test_rule_of_paths_can_fail() -> None:
    bad = 'x = "/home/ann/kopeck"\ncd /root/kopeck\n--data /tmp\nC:\\Users\\ann\n'
    assert len(list(machine_paths(sample(bad)))) == 4
    good = "/var/lib/kopeck /etc/kopeck /v1/payments ./tmp/x src/home/x https://a.b/home/x\n"
    assert list(machine_paths(sample(good))) == []
