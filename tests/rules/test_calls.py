"""Who may read the clock, draw an id, start a task or wait: the rest of the product may not."""

import ast
import re
from collections.abc import Iterator

from tests.rules.sources import PRODUCT, Source, expect_none, python, sample

NOT_REPEATABLE = re.compile(
    r"datetime\.(?:datetime\.)?(?:now|utcnow|today)"
    r"|datetime\.date\.today|time\.(?:time|time_ns|localtime|gmtime|strftime)"
    r"|uuid\.uuid\d|uuid_utils(?:\.compat)?\.uuid\d|random\.\w+"
)
CLOCK_AND_IDS = ("gateway/domain/clock.py", "gateway/domain/ids.py")
# A seeded generator gives the same region every time.
SEEDED = ("gateway/demo/",)

# A task needs an owner that awaits it; these files own theirs, and say how.
TASK_OWNERS: tuple[str, ...] = (
    # The committers, and payments whose tokens are opened first: drain() awaits both.
    "gateway/flows/accept_payment.py",
    # The gauges of money and the root keys: cancelled and awaited when the door closes.
    "gateway/app.py",
    # Payments whose caller is looked up first: the door waits for them, and the server ends them.
    "gateway/api/hot.py",
    # Questions to acquirers: the door waits for their answers, drain() for them.
    "gateway/flows/authorise_payment.py",
    # Callbacks of the sandbox: cancelled and awaited where it ends.
    "gateway/sandbox/server.py",
    # The check of the database at the start: awaited where it is made, so that a signal cancels it.
    "gateway/supervisor/serving.py",
    # The next pages of a report: awaited by its reader, or cancelled and awaited where it leaves.
    "gateway/flows/reports.py",
    # Hosts of a database that are asked at once: those that lose are cancelled and awaited.
    "gateway/storage/primary.py",
)
TASKS = ("create_task", "ensure_future", "shield")

PURE = ("gateway/domain/", "gateway/methods/", "gateway/payouts/files/", "splitcore/")


def not_repeatable(source: Source) -> Iterator[str]:
    """Also where it is only named: a default of `clock=time.time` reads the clock as well."""
    if source.path in CLOCK_AND_IDS:
        return
    for node in source.nodes:
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        name = source.dotted(node)
        seeded = name == "random.Random" and source.path.startswith(SEEDED)
        if NOT_REPEATABLE.fullmatch(name) and not seeded:
            yield f"line {node.lineno}: {name} outside clock.py and ids.py"


def unowned_tasks(source: Source) -> Iterator[str]:
    if source.path in TASK_OWNERS:
        return
    groups = _task_groups(source)
    for node in source.nodes:
        if not isinstance(node, ast.Attribute | ast.Name):
            continue
        name = source.dotted(node)
        bare = node.attr if isinstance(node, ast.Attribute) else name.removeprefix("asyncio.")
        if bare not in TASKS or (isinstance(node, ast.Name) and not name.startswith("asyncio.")):
            continue
        if name.rpartition(".")[0] not in groups:
            yield f"line {node.lineno}: {bare} in a file that owns no tasks"


def _task_groups(source: Source) -> set[str]:
    """Names bound by `async with asyncio.TaskGroup() as name`: the block awaits what it starts."""
    return {
        item.optional_vars.id
        for node in source.nodes
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if isinstance(item.context_expr, ast.Call)
        and source.dotted(item.context_expr.func) == "asyncio.TaskGroup"
        and isinstance(item.optional_vars, ast.Name)
    }


def waits(source: Source) -> Iterator[str]:
    kinds = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    for node in source.nodes:
        if isinstance(node, kinds):
            yield f"line {node.lineno}: async or await in a pure file"


def test_only_clock_and_ids_cannot_be_repeated() -> None:
    expect_none(not_repeatable, python(*PRODUCT))


def test_rule_of_the_clock_sees_through_imports() -> None:
    bad = sample(
        "import random as dice\nimport time\nimport uuid\nfrom datetime import UTC, datetime\n"
        "from time import time as now\n"
        "a = datetime.now(UTC)\nb = uuid.uuid4()\nc = dice.random()\nd = now()\n"
        "def wait(clock=time.time): ...\n"
        "e = time.monotonic()\n"
    )
    assert [said.split(":")[0] for said in not_repeatable(bad)] == [
        "line 6", "line 7", "line 8", "line 9", "line 10",
    ]  # fmt: skip
    seeded = "import random\ndice = random.Random(7)\n"
    assert list(not_repeatable(sample(seeded, "gateway/demo/region.py"))) == []
    assert len(list(not_repeatable(sample(seeded)))) == 1


def test_every_task_has_an_owner() -> None:
    expect_none(unowned_tasks, python(*PRODUCT))


def test_rule_of_tasks_knows_a_group() -> None:
    bad = sample(
        "import asyncio\nfrom asyncio import shield\nasync def run(loop):\n"
        "    asyncio.create_task(run(loop))\n    loop.create_task(run(loop))\n"
        "    await shield(run(loop))\n"
        "    async with asyncio.TaskGroup() as tasks:\n        tasks.create_task(run(loop))\n"
    )
    assert [said.split(":")[0] for said in unowned_tasks(bad)] == ["line 4", "line 5", "line 6"]


def test_list_of_task_owners_is_not_longer_than_needed() -> None:
    owners = {s.path: s for s in python(*PRODUCT) if s.path in TASK_OWNERS}
    idle = [
        path
        for path in TASK_OWNERS
        if path not in owners or not re.search(r"\b(?:" + "|".join(TASKS) + ")", owners[path].text)
    ]
    assert idle == []


def test_pure_files_never_wait() -> None:
    expect_none(waits, (s for s in python(*PRODUCT) if s.path.startswith(PURE)))
    assert len(list(waits(sample("async def find():\n    await other()\n")))) == 2


def test_every_pure_folder_is_there() -> None:
    paths = [source.path for source in python(*PRODUCT)]
    assert [folder for folder in PURE if not any(p.startswith(folder) for p in paths)] == []
