"""`kopeck split`: one answer a line, in order; a bad line is refused and the next goes on."""

import io
import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import split as command
from gateway.cli.split import CHUNK_BYTES, LINE_BYTES_MAX, run

CASE = b'{"amount":3,"charges":[{"recipient":"heat","due":2},{"recipient":"waste","due":2}]}'
SHARED = [2, 1]


def answers(given: bytes) -> list[dict[str, Any]]:
    out = io.BytesIO()
    run(io.BytesIO(given), out)
    assert not out.getvalue() or out.getvalue().endswith(b"\n")
    return [json.loads(line) for line in out.getvalue().splitlines()]


def told(answer: dict[str, Any]) -> Any:
    """The charges of an allocation, or the code of a refusal."""
    if "error" in answer:
        assert answer["error"].keys() == {"code", "detail"}
        assert answer["error"]["detail"].startswith("Expected ")
        return answer["error"]["code"]
    return answer["charges"]


def test_an_allocation_as_the_specification_has_it() -> None:
    assert answers(CASE + b"\n") == [
        {
            "amount": 3,
            "surcharge": 0,
            "total": 3,
            "charges": [2, 1],
            "shares": [
                {"charge": 0, "recipient": "heat", "amount": 2},
                {"charge": 1, "recipient": "waste", "amount": 1},
            ],
            "recipients": [
                {"recipient": "heat", "gross": 2, "commission": 0, "net": 2},
                {"recipient": "waste", "gross": 1, "commission": 0, "net": 1},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (CASE, SHARED),
        (b"  " + CASE + b" \r", SHARED),
        (b"", "malformed"),
        (b"   ", "malformed"),
        (b"not JSON", "malformed"),
        (CASE + CASE, "malformed"),
        (CASE[:-1], "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'"\xff"', "malformed"),
        (b'{"amount":NaN,"charges":[]}', "malformed"),
        (CASE.replace(b'"amount":3', b'"amount":3.0'), "malformed"),
        (CASE.replace(b'"amount":3', b'"amount":3e0'), "malformed"),
        (CASE.replace(b'"amount":3', b'"amount":-0'), "amount_out_of_range"),
        # Integers beyond 64 bits are integers still, so it is their size that is refused.
        (CASE.replace(b'"amount":3', b'"amount":18446744073709551616'), "amount_out_of_range"),
        (CASE.replace(b'"due":2', b'"due":-' + b"9" * 40), "due_out_of_range"),
        (CASE.replace(b'"heat"', '"Теплосеть"'.encode()), SHARED),
        (CASE.replace(b'"heat"', b'"\\ud800"'), "malformed"),
    ],
)
def test_line(line: bytes, expected: Any) -> None:
    following = b"\n" + CASE
    assert [told(answer) for answer in answers(line + following)] == [expected, SHARED]


def test_nothing_in_nothing_out() -> None:
    assert answers(b"") == []


def test_the_last_line_needs_no_newline() -> None:
    assert [told(answer) for answer in answers(CASE + b"\n" + CASE)] == [SHARED, SHARED]


@pytest.mark.parametrize("length", [LINE_BYTES_MAX - 1, LINE_BYTES_MAX, LINE_BYTES_MAX + 1])
def test_a_line_has_a_bound(length: int) -> None:
    line = CASE + b" " * (length - len(CASE))
    expected = SHARED if length <= LINE_BYTES_MAX else "malformed"
    assert [told(answer) for answer in answers(line + b"\n" + CASE)] == [expected, SHARED]
    assert [told(answer) for answer in answers(CASE + b"\n" + line)] == [SHARED, expected]


def test_a_line_far_above_the_bound_is_refused_once_and_not_kept() -> None:
    long = b"x" * (3 * LINE_BYTES_MAX)
    assert [told(answer) for answer in answers(CASE + b"\n" + long + b"\n" + CASE)] == [
        *(SHARED, "malformed", SHARED)
    ]


def test_lines_cut_by_a_chunk_are_whole() -> None:
    count = 2 * CHUNK_BYTES // len(CASE) + 7
    assert [told(answer) for answer in answers((CASE + b"\n") * count)] == [SHARED] * count


def test_the_command_reads_stdin_and_writes_stdout() -> None:
    done = CliRunner().invoke(command.split, input=CASE + b"\n")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["charges"] == SHARED


def test_an_answer_comes_while_the_pipe_stays_open() -> None:
    """Whoever asks line by line is answered line by line."""
    program = (
        "import sys; from gateway.cli.split import run; run(sys.stdin.buffer, sys.stdout.buffer)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as asked:
        assert asked.stdin is not None
        assert asked.stdout is not None
        os.set_blocking(asked.stdout.fileno(), False)
        for _ in range(2):
            asked.stdin.write(CASE + b"\n")
            asked.stdin.flush()
            assert json.loads(_line_within(asked.stdout, seconds=30))["charges"] == SHARED
        asked.stdin.close()
        assert asked.wait(30) == 0


def _line_within(stdout: Any, seconds: float) -> bytes:
    """One line of a pipe that does not block, or whatever came before the deadline."""
    deadline = time.monotonic() + seconds
    got = b""
    while not got.endswith(b"\n") and time.monotonic() < deadline:
        got += stdout.read() or b""
        time.sleep(0.01)
    return got
