"""Every case of the case files comes out to the letter, key order included."""

import json
from pathlib import Path
from typing import Any

import pytest

from splitcore import SplitError, split_case

CASE_FILE = Path(__file__).parent / "vectors" / "splitting.jsonl"
LINES = [json.loads(line) for line in CASE_FILE.read_text().splitlines()]


def answer(case: object) -> dict[str, Any]:
    try:
        return split_case(case)
    except SplitError as refused:
        return {"error": {"code": refused.code}}


def test_the_case_file_is_whole() -> None:
    assert len(LINES) == 432


@pytest.mark.parametrize("line", [pytest.param(line, id=line["name"]) for line in LINES])
def test_case(line: dict[str, Any]) -> None:
    assert json.dumps(answer(line["case"])) == json.dumps(line["expect"])
