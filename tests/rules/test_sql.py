"""Statements are constants, and a room's statements stand in its store alone."""

import ast
import re
from collections.abc import Iterator
from typing import TypeGuard

from tests.rules.sources import Source, expect_none, python, rooms, sample

SENDING = {
    *("execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany"),
    *("prepare", "cursor", "copy_from_query"),
}
# Where statements are at home: each room's store (store.py, and store_….py where one file is too
# much), the audit's many checks, and the cellar that makes the tables.
STORES = (
    *(f"gateway/{room}/{name}" for room in rooms() for name in ("store.py", "store_")),
    *("gateway/audit/correction_checks.py", "gateway/audit/payout_checks.py", "gateway/storage/"),
)
STATEMENT = re.compile(
    r"\b(?:SELECT\s[\s\S]*\sFROM\b|INSERT\s+INTO\b|UPDATE\s+\w+\s+(?:AS\s+\w+\s+)?SET\b"
    r"|DELETE\s+FROM\b|(?:CREATE|ALTER|DROP)\s+(?:TABLE|INDEX|VIEW|FUNCTION|DATABASE)\b"
    r"|COPY\s+\w+|TRUNCATE\s+\w+|LOCK\s+TABLE\b|WITH\s+\w+\s+AS\s*\()"
)
_CONSTANT_NAME = re.compile(r"_?[A-Z][A-Z0-9_]*")


def put_together(source: Source) -> Iterator[str]:
    """Statements made from values: where one is sent, and wherever a string looks like one."""
    for node in source.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in SENDING and node.args and not _plain(node.args[0]):
                yield f"line {node.lineno}: expected a constant statement in {node.func.attr}"
            called_on = node.func.value
            if node.func.attr in ("format", "join") and _is_statement(called_on):
                yield f"line {node.lineno}: a statement put together by {node.func.attr}"
        elif _made_of_values(node):
            yield f"line {node.lineno}: a statement put together from values"


def _plain(node: ast.AST) -> bool:
    """Whether this holds no value: constants, named constants, or one name made elsewhere."""
    if isinstance(node, ast.JoinedStr | ast.BinOp):
        return _constant(node)
    return isinstance(node, ast.Constant | ast.Name | ast.Attribute | ast.Subscript | ast.Starred)


def _constant(node: ast.AST) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _CONSTANT_NAME.fullmatch(name) is not None
        case ast.JoinedStr(values=values):
            return all(map(_constant, values))
        case ast.FormattedValue(value=value):
            return _constant(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _constant(left) and _constant(right)
        case _:
            return False


def _made_of_values(node: ast.AST) -> TypeGuard[ast.expr]:
    made = isinstance(node, ast.JoinedStr | ast.BinOp)
    return made and not _constant(node) and _is_statement(node)


def _is_statement(node: ast.AST) -> bool:
    words = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
    return STATEMENT.search(" ".join(word for word in words if isinstance(word, str))) is not None


def statements(source: Source) -> Iterator[str]:
    """Statements outside the stores; a docstring may quote one."""
    if source.path.startswith(STORES):
        return
    quoted = {id(node.value) for node in source.nodes if isinstance(node, ast.Expr)}
    for node in source.nodes:
        if isinstance(node, ast.Constant) and id(node) not in quoted and _is_statement(node):
            yield f"line {node.lineno}: a statement outside store.py"


def test_no_statement_is_put_together_from_values() -> None:
    expect_none(put_together, python("gateway"))


def test_rule_of_statements_can_fail() -> None:
    bad = sample(
        'await conn.execute(f"SET lock_timeout = {ms}")\n'
        'await conn.fetch("SELECT * FROM bills WHERE account = \'" + account + "\'")\n'
        'await conn.fetchrow("SELECT %s FROM bills" % column)\n'
        'query = "SELECT a FROM {}".format(table)\n'
        'query = f"DELETE FROM {table}"\n'
    )
    lines = {int(said.split(":")[0].removeprefix("line ")) for said in put_together(bad)}
    assert lines == {1, 2, 3, 4, 5}
    good = sample(
        'await conn.fetch(f"SELECT {_COLUMNS} FROM bills WHERE account = $1", account)\n'
        "await conn.execute(migration.sql)\nawait conn.fetchval(_NEWEST, day)\n"
    )
    assert list(put_together(good)) == []


def test_only_stores_hold_statements() -> None:
    expect_none(statements, python("gateway"))
    bad = '"""SELECT 1 FROM docs"""\n_NEWEST = """\n    SELECT max(at)\n    FROM payments\n"""\n'
    assert list(statements(sample(bad, "gateway/journal/cards.py"))) == [
        "line 2: a statement outside store.py"
    ]
    assert list(statements(sample(bad, "gateway/journal/store.py"))) == []
    prose = 'say("Select a bill from the list, and update it")\n'
    assert list(statements(sample(prose, "gateway/api/page.py"))) == []
