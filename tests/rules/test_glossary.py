"""Words we promised not to use in names, as they mean several things or nothing at all.

Only names that we give are read: functions, classes, parameters, variables, modules, columns. What
a library calls its own things stays its own affair.
"""

import ast
import re
from collections.abc import Iterator

from tests.rules.sources import PRODUCT, Source, expect_none, python, sample, texts

PARTY = "payer, subscriber, caller or recipient"
VERB = "the verb it does: accept, find, split, commit, close, send"
NOUN = "the noun it holds"
SAY_INSTEAD = {
    "transaction": "payment, posting or db_transaction",
    "auth": "authenticate, or the full verb that is meant",
    **dict.fromkeys(("client", "user", "customer", "merchant"), PARTY),
    **dict.fromkeys(("manager", "processor", "handler", "helper", "util", "utils"), VERB),
    **dict.fromkeys(("info", "data", "misc", "foo", "tmp"), NOUN),
    **dict.fromkeys(("leg", "legs", "slice", "slices", "portion", "portions"), "share"),
    "registry": "report or payout file",
}
# A function named like this tells nothing; a process of the operating system is another matter.
VERBS_INSTEAD = dict.fromkeys(("process", "handle", "do"), VERB)
# Doors without a sign: not for a module or a class, whose name is all a reader sees.
DOORS_INSTEAD = dict.fromkeys(("service", "common", "core", "base"), NOUN)

# Where a word is right all the same: below which path, and why.
ALLOWED = {
    ("gateway/", "data"): "the directory behind the option --data",
    ("loadtests/", "data"): "a method of asyncio.Protocol that is overridden",
    ("loadtests/machine.py", "processor"): "the machine's own",
    ("loadtests/machine.py", "user"): "the kernel's word for time spent outside of it",
    ("gateway/config.py", "transaction"): "PostgreSQL's own name of a setting",
    ("gateway/telemetry.py", "registry"): "Prometheus' own word for its set of metrics",
    ("gateway/room_telemetry.py", "registry"): "Prometheus' own word for its set of metrics",
    ("gateway/api/", "handler"): "aiohttp's own word for what a middleware wraps",
    ("gateway/api/", "handle"): "a method of aiohttp that is overridden",
    ("gateway/payouts/statements/camt.py", "handler"): "expat's own word for what it calls",
    ("gateway/supervisor/", "handler"): "the word of Python's signal module",
    ("gateway/storage/", "user"): "the user of the operating system, and PostgreSQL's",
}
# The glossary itself says so.
DB_TRANSACTION = "db_transaction"


def words(name: str) -> list[str]:
    """`read_BankAccount2` is read, bank, account."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def given_names(source: Source) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Names this file gives to something: line, name, and the words avoided there."""
    yield 1, source.module.rpartition(".")[2], SAY_INSTEAD | DOORS_INSTEAD
    for node in source.nodes:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                noun = any(source.dotted(word) == "property" for word in node.decorator_list)
                yield node.lineno, node.name, SAY_INSTEAD | ({} if noun else VERBS_INSTEAD)
            case ast.ClassDef():
                yield node.lineno, node.name, SAY_INSTEAD | DOORS_INSTEAD
            case ast.arg():
                yield node.lineno, node.arg, SAY_INSTEAD
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id, SAY_INSTEAD
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr, SAY_INSTEAD
            case _:
                pass


def given_names_sql(source: Source) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Lower-case words of the tables: keywords are in capitals, comments and quotes left out."""
    for number, line in enumerate(source.lines, 1):
        for name in re.findall(r"\b[a-z][a-z0-9_]*\b", re.sub(r"--.*|'[^']*'", "", line)):
            yield number, name, SAY_INSTEAD


def allowance(path: str, word: str) -> tuple[str, str] | None:
    """The entry of ALLOWED that lets this word stand in this file."""
    for entry in ALLOWED:
        if path.startswith(entry[0]) and word == entry[1]:
            return entry
    return None


def unsuitable(source: Source) -> Iterator[tuple[int, str, str, str]]:
    """Line, name, its word of those avoided, and what to say instead."""
    names = given_names_sql(source) if source.path.endswith(".sql") else given_names(source)
    for number, name, instead in names:
        for word in words(name.replace(DB_TRANSACTION, "")):
            if word in instead:
                yield number, name, word, instead[word]


def avoided(source: Source) -> Iterator[str]:
    for number, name, word, instead in unsuitable(source):
        if allowance(source.path, word) is None:
            yield f"line {number}: {name}; say {instead}"


def everything_named() -> list[Source]:
    tables = [source for source in texts() if source.path.endswith(".sql")]
    return [*python(*PRODUCT, "loadtests"), *tables]


def test_names_keep_to_the_glossary() -> None:
    expect_none(avoided, everything_named())


def test_rule_of_names_can_fail() -> None:
    bad = sample(
        "class CardHandler: ...\ndef process_card(user_id): ...\nself.client = 1\n"
        "class CommonCard: ...\ndb_transaction = 2\nother.client.transaction()\nprocess = 3\n",
        "gateway/journal/utils.py",
    )
    assert sorted(complaint.split(";")[0] for complaint in avoided(bad)) == [
        "line 1: CardHandler",
        "line 1: utils",
        "line 2: process_card",
        "line 2: user_id",
        "line 3: client",
        "line 4: CommonCard",
    ]
    tables = "CREATE TABLE customers (merchant text); -- user, client\n"
    assert len(list(avoided(sample(tables, "gateway/storage/migrations/1.sql")))) == 1


def test_every_allowance_is_still_needed() -> None:
    used = {allowance(s.path, word) for s in everything_named() for _, _, word, _ in unsuitable(s)}
    assert set(ALLOWED) - used == set()
