"""Log lines: JSON, whole, without what libraries were told; a stalled reader stops none."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import orjson
import pytest

from gateway import logs


@contextmanager
def installed(level: str = "info") -> Iterator[list[bytes]]:
    root = logging.getLogger()
    before, was = root.handlers[:], root.level
    lines: list[bytes] = []
    logs.install(level, lines.append)
    try:
        yield lines
    finally:
        root.handlers[:] = before
        root.setLevel(was)


def test_an_event_is_one_line_of_json() -> None:
    with installed() as lines:
        logs.logger("kopeck.acquirers").warning("no answer", acquirer="sber", why="in\ntime")
        logs.logger("kopeck.acquirers").debug("unheard")
    (line,) = lines
    assert line.count(b"\n") == 1
    told = orjson.loads(line)
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "level": "warning",
        "logger": "kopeck.acquirers",
        "event": "no answer",
        "acquirer": "sber",
        "why": "in\ntime",
    }


def test_a_library_is_told_by_its_template_alone() -> None:
    with installed() as lines:
        try:
            raise ValueError("account 220012345")
        except ValueError:
            logging.getLogger("asyncio").exception("Task of %s failed", "Иванов")
    (line,) = lines
    told = orjson.loads(line)
    assert (told["event"], told["failure"]) == ("Task of %s failed", "ValueError")
    assert "220012345" not in line.decode()
    assert "Иванов" not in line.decode()


def test_a_bug_is_told_without_its_message() -> None:
    def broken() -> None:
        raise KeyError("220012345")

    with installed() as lines:
        try:
            broken()
        except KeyError as failure:
            logs.bug(failure, "the seals", mark="m1")
    told = orjson.loads(lines[0])
    assert told["event"] == "KeyError in the seals"
    assert told["mark"] == "m1"
    assert told["passed"].startswith("broken:")
    assert b"220012345" not in lines[0]


def test_lines_are_written_whole_and_in_order() -> None:
    read, write = os.pipe()
    found: list[bytes] = []

    def drain() -> None:
        with open(read, "rb") as end:
            found.extend(end)

    reader = threading.Thread(target=drain)
    reader.start()
    sent = [b"%d %s\n" % (number, b"x" * (number % 300)) for number in range(5_000)]
    with logs.Lines(write) as lines:
        for line in sent:
            lines.write(line)
    os.close(write)
    reader.join(10)
    assert found == sent


def test_what_is_written_to_a_pipe_at_once_is_whole_lines_that_stay_whole() -> None:
    """Several processes share one pipe; each write of at most PIPE_BUF bytes stays whole in it."""
    read, write = os.pipe()
    try:
        lines = logs.Lines(write)
        sent = [b"%d %s\n" % (n, b"x" * (5_000 if n == 7 else 97 * n % 900)) for n in range(60)]
        written: list[bytes] = []

        def keep(_: int, block: bytes) -> int:
            written.append(block)
            return len(block)

        with patch.object(os, "write", keep):
            lines._put(b"".join(sent))
    finally:
        os.close(read)
        os.close(write)
    assert b"".join(written) == b"".join(sent)
    assert all(block.endswith(b"\n") for block in written)
    assert [len(block) > 4_096 for block in written].count(True) == 1
    assert len(written) < len(sent) / 3


def test_who_does_not_read_loses_lines_and_stops_nobody() -> None:
    """The pipe holds 64 KiB; the control of it is the test above, whose reader reads."""
    read, write = os.pipe()
    lines = logs.Lines(write)
    with lines:
        for _ in range(3 * logs.LINES_MAX):
            lines.write(b"x" * 99 + b"\n")
        assert lines._dropped >= logs.LINES_MAX
    os.close(read)


def test_a_reader_that_has_gone_ends_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    with logs.Lines(write) as lines:
        lines.write(b"a\n")
    os.close(write)
    assert not lines._thread.is_alive()


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_levels_are_heeded(level: str) -> None:
    words = ["debug", "info", "warning", "error"]
    with installed(level) as lines:
        log = logs.logger("kopeck.x")
        for word in words:
            getattr(log, word)("told")
    assert [orjson.loads(line)["level"] for line in lines] == words[words.index(level) :]
