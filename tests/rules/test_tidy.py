"""Shape of the files: columns, lengths, leftovers, head docstrings, no assert in the product."""

import ast
import re
from collections.abc import Iterator

from tests.rules.sources import PRODUCT, Source, expect_none, python, sample, texts

COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600

CODE = (
    *(".py", ".pyi", ".pyx", ".pxd", ".pxi", ".h", ".sql", ".sh"),
    *(".toml", ".yaml", ".yml", "Makefile", "run"),
)
# Spelled apart, as this file is read as well.
LEFTOVER = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
_PYX_FUNCTION = re.compile(r"^(\s*)(?:cdef|cpdef|def)\b[^=]*\(")


def wide_lines(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.lines, 1):
        if len(line) > COLUMNS_MAX:
            yield f"line {number}: expected {COLUMNS_MAX} columns at most, was {len(line)}"


def long_file(source: Source) -> Iterator[str]:
    if len(source.lines) > FILE_LINES_MAX:
        yield f"expected {FILE_LINES_MAX} lines at most, was {len(source.lines)}"


def long_functions(source: Source) -> Iterator[str]:
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{node.name}: expected {FUNCTION_LINES_MAX} lines at most, was {lines}"


def long_kernel_functions(source: Source) -> Iterator[str]:
    """The same for Cython, by indentation: a function ends where the text is no deeper than it."""
    lines = source.lines
    for first, line in enumerate(lines):
        found = _PYX_FUNCTION.match(line)
        if found is None:
            continue
        depth, last, signature_open = len(found[1]), first, "):" not in line
        for place in range(first + 1, len(lines)):
            text = lines[place]
            deeper = len(text) - len(text.lstrip()) > depth
            if text.strip() and not (deeper or signature_open):
                break
            signature_open = signature_open and not text.rstrip().endswith(":")
            last = place if text.strip() else last
        if last - first + 1 > FUNCTION_LINES_MAX:
            yield f"line {first + 1}: expected {FUNCTION_LINES_MAX} lines, was {last - first + 1}"


def leftovers(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.lines, 1):
        if found := LEFTOVER.search(line):
            yield f"line {number}: {found[0]} left over"


def empty_functions(source: Source) -> Iterator[str]:
    """A function that only says it is not written; a hook may raise the same for good reason."""
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            last = node.body[-1]
            raised = last.exc if isinstance(last, ast.Raise) and len(node.body) <= 2 else None
            name = source.dotted(raised.func if isinstance(raised, ast.Call) else raised or last)
            if name == "NotImplementedError":
                yield f"{node.name}: expected a body, was {name}"


def asserts(source: Source) -> Iterator[str]:
    """`python -O` drops every assert, so an invariant of the product may not be one."""
    if source.path.endswith((".pyx", ".pxi")):
        numbers = [n for n, line in enumerate(source.lines, 1) if re.match(r"\s*assert\b", line)]
    else:
        numbers = [node.lineno for node in source.nodes if isinstance(node, ast.Assert)]
    for number in numbers:
        yield f"line {number}: expected raise InvariantBroken, was assert"


def no_head(source: Source) -> Iterator[str]:
    if not (ast.get_docstring(source.tree) or "").strip():
        yield "expected a docstring at the head: what this is for, what it must not do"


def kernels() -> list[Source]:
    return [source for source in texts() if source.path.endswith((".pyx", ".pxi"))]


def all_python() -> list[Source]:
    return python(*PRODUCT, "loadtests", "tests")


def test_no_line_is_wider_than_a_page() -> None:
    expect_none(wide_lines, (s for s in texts() if s.path.endswith(CODE)))
    assert list(wide_lines(sample("x" * 101))) == ["line 1: expected 100 columns at most, was 101"]
    assert list(wide_lines(sample("x" * 100))) == []


def test_no_file_is_too_long_to_read() -> None:
    expect_none(long_file, [*all_python(), *kernels()])
    assert list(long_file(sample("x\n" * 601))) == ["expected 600 lines at most, was 601"]


def test_every_function_fits_on_a_screen() -> None:
    expect_none(long_functions, all_python())
    bad = "async def grown():\n" + "    x = 1\n" * 70
    assert list(long_functions(sample(bad))) == ["grown: expected 70 lines at most, was 71"]


def test_every_kernel_function_fits_on_a_screen() -> None:
    expect_none(long_kernel_functions, kernels())
    bad = (
        "cdef int grown(\n    int a,\n) noexcept nogil:\n"
        + "    a = 1\n\n" * 40
        + "cdef int small() noexcept nogil:\n    return 0\n"
    )
    assert list(long_kernel_functions(sample(bad))) == ["line 1: expected 70 lines, was 82"]


def test_nothing_is_left_for_later() -> None:
    expect_none(leftovers, texts())
    bad = "x = 1  # TO" + "DO: two\n# fix" + "me\n# FIX" + "ME\n"
    assert len(list(leftovers(sample(bad)))) == 2


def test_no_function_waits_to_be_written() -> None:
    expect_none(empty_functions, all_python())
    bad = (
        'def later():\n    """Soon."""\n    raise NotImplementedError("soon")\n'
        "def hook(kind):\n    if kind is not object:\n        raise NotImplementedError\n"
        "    return 1\n"
    )
    assert list(empty_functions(sample(bad))) == ["later: expected a body, was NotImplementedError"]


def test_the_product_has_no_assert() -> None:
    expect_none(asserts, [*python(*PRODUCT), *kernels()])
    assert len(list(asserts(sample("assert paid == split")))) == 1
    assert len(list(asserts(sample("    assert paid == split", "splitcore/sample.pyx")))) == 1


def test_every_module_says_what_it_is_for() -> None:
    expect_none(no_head, [*all_python(), *python("setup.py")])
    assert len(list(no_head(sample("import os\n")))) == 1
    assert len(list(no_head(sample("")))) == 1
