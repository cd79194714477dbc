"""What the page on acquirer reports shows is what the gateway does."""

import re

import orjson

from gateway.acquirer_reports.layout import read_layout
from gateway.acquirer_reports.policy import Policy
from tests.api.conftest import Gateway
from tests.rules.sources import ROOT

PAGE = (ROOT / "docs" / "acquirer-reports.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


async def test_the_example_is_answered_as_shown(region: Gateway) -> None:
    (command,) = blocks("sh")
    path = re.search(r"localhost:8080([^\"]+)", command)
    assert path is not None
    (file,) = blocks("text")
    answer = await region.send(
        "POST", path[1], file.encode("cp866"), role="acquirer", key="day-1",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    shown = orjson.loads(blocks("json")[0])
    assert answer.json | {"id": shown["id"]} == shown


def test_the_descriptor_and_the_policy_are_good() -> None:
    assert read_layout(blocks("toml")[0].encode()).format == "mybank"
    assert orjson.loads(blocks("json")[1]) == {
        name: getattr(Policy(), name) for name in Policy.__struct_fields__
    }
