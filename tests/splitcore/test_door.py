"""The door: the kernel or a loud failure; the reference only by its switch; limits that hold."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from splitcore import CODES, limits
from splitcore.errors import SplitError, found

PACKAGE = Path(limits.__file__).parent
TOLD = "import splitcore; print(splitcore.BACKEND, splitcore.Plan.__module__)"


def told_by(where: Path, **switches: str) -> subprocess.CompletedProcess[str]:
    """What the package at `where` says of itself in a fresh interpreter."""
    return subprocess.run(
        # Without site-packages: an editable install finds our kernel from anywhere.
        [sys.executable, "-S", "-c", TOLD],
        env={"PYTHONPATH": str(where), "PYTHONSAFEPATH": "1", **switches},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def without_kernel(tmp_path: Path) -> Path:
    """The package as it is installed where nothing was compiled."""
    shutil.copytree(PACKAGE, tmp_path / "splitcore", ignore=shutil.ignore_patterns("*.so", "*.pyd"))
    return tmp_path


def test_the_kernel_is_the_ordinary_backend() -> None:
    said = told_by(PACKAGE.parent)
    assert said.stdout.split() == ["kernel", "splitcore._kernel"], said.stderr


def test_the_switch_selects_the_reference() -> None:
    said = told_by(PACKAGE.parent, SPLITCORE_PURE="1")
    assert said.stdout.split() == ["reference", "splitcore.reference_plans"], said.stderr


def test_a_missing_kernel_fails_loudly(without_kernel: Path) -> None:
    said = told_by(without_kernel)
    assert said.returncode != 0
    assert "splitcore._kernel" in said.stderr
    assert said.stdout == ""


def test_without_the_kernel_the_switch_still_works(without_kernel: Path) -> None:
    assert told_by(without_kernel, SPLITCORE_PURE="1").stdout.split()[0] == "reference"


@pytest.mark.parametrize("value", ["0", "true", "yes", " 1"])
def test_another_value_of_the_switch_is_refused(value: str) -> None:
    said = told_by(PACKAGE.parent, SPLITCORE_PURE=value)
    assert said.returncode != 0
    assert "SPLITCORE_PURE" in said.stderr


def test_a_broken_relation_of_limits_stops_the_import() -> None:
    limits.check_relations({"holds": True})
    with pytest.raises(RuntimeError, match="weights fit"):
        limits.check_relations({"holds": True, "weights fit": False})


def test_the_codes_stand_in_the_order_of_the_specification() -> None:
    expected = (
        *("malformed", "amount_out_of_range", "charges_out_of_range", "due_out_of_range"),
        *("tier_out_of_range", "weight_out_of_range", "second_level_out_of_range"),
        *("fee_out_of_range", "designation_out_of_range", "designation_exceeds_amount"),
        *("overpayment", "nothing_to_allocate", "total_out_of_range"),
    )
    assert expected == CODES


def test_what_a_refusal_tells() -> None:
    refused = SplitError("overpayment", "Expected at most 5, was 6")
    assert isinstance(refused, ValueError)
    assert str(refused) == "overpayment: Expected at most 5, was 6"
    assert (str(SplitError("malformed")), found("Иванов")) == ("malformed", "str")
    assert (found(7), found(10**5000)) == ("7", "an integer beyond 64 bits")
