"""The worked bills of splitcore/README.md come out as they are told there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from splitcore import limits, split_case

README = (Path(limits.__file__).parent / "README.md").read_text()
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL)]


def test_every_case_has_its_result() -> None:
    assert len(BLOCKS) == 8


@pytest.mark.parametrize(("case", "told"), list(zip(BLOCKS[::2], BLOCKS[1::2], strict=True)))
def test_worked_bill(case: dict[str, Any], told: dict[str, Any]) -> None:
    result = split_case(case)
    assert {key: result[key] for key in told} == told
