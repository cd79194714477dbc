"""Templates of linear barcodes: the product's, a centre's own, and descriptors that are none."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import StartRefused
from gateway.domain.requisites import inn_with_check_digits
from gateway.scans.barcodes import CODE_LENGTH_MAX, Reading, TemplateMisfit, read_template
from gateway.scans.templates import Templates, built_in, load
from gateway.storage.descriptors import FILES_MAX

PRODUCT = Templates(built_in())
OWN = """
name = "own"
symbologies = ["ITF"]
fields = [
    {means = "subscriber_account", length = 8},
    {means = "period", length = 6, order = "YYYYMM"},
    {means = "amount", length = 6, unit = "roubles"},
    {means = "check", length = 1},
]
check = {weights = [3,1,3,1,3,1,3,1,3,1,3,1,3,1,3,1,3,1,3,1], modulus = 10, complement = true}
"""


def reading(template: str, account: str, **told: object) -> Reading:
    known: dict[str, object] = {
        "amount_kopecks": None, "payee_inn": None, "period": None, "warnings": (),
    }  # fmt: skip
    return Reading(template, account, **(known | told))  # type: ignore[arg-type]


def test_sbers_code() -> None:
    assert PRODUCT.read("7707083893L220012345S345600", "Code128") == reading(
        "sber", "220012345", amount_kopecks=345600, payee_inn="7707083893"
    )
    # A wrong INN is paid every day; it is told.
    told = PRODUCT.read("6200098765L1S1", None)
    assert told is not None
    assert told.warnings == ("payee_inn",)
    assert PRODUCT.read("7707083893L220012345S345600", "Code39") is None


def test_tomsks_published_code() -> None:
    assert PRODUCT.read("351100010534") == reading("tomsk", "001053")


@given(st.text("0123456789", min_size=11, max_size=11))
def test_tomsks_code_has_one_check_digit(digits: str) -> None:
    left = sum(int(d) * w for d, w in zip(digits, range(12, 1, -1), strict=True)) % 11
    taken = [check for check in "0123456789" if PRODUCT.read(digits + check)]
    assert taken == [str(left % 10 if left == 10 else left)]


@given(
    st.text("0123456789", min_size=9, max_size=9), st.integers(1, 10**30 - 1),
    st.integers(0, 10**13 - 1),
)  # fmt: skip
def test_sbers_code_of_anybody(digits: str, account: int, kopecks: int) -> None:
    inn = inn_with_check_digits(digits)
    told = PRODUCT.read(f"{inn}L{account}S{kopecks}")
    assert told is not None
    assert (told.subscriber_account, told.amount_kopecks) == (str(account), kopecks)


@given(st.text(max_size=200) | st.from_regex(r"\A[0-9]{10,12}L[0-9]{1,40}S[0-9]{1,20}\Z"))
def test_any_text_is_read_or_not(text: str) -> None:
    told = PRODUCT.read(text)
    assert told is None or (told.subscriber_account and len(text) <= CODE_LENGTH_MAX)


def test_a_centres_own_template(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(OWN)
    (tmp_path / "readme.txt").write_text("not one")
    templates = load(tmp_path)
    code = "12345678" + "202610" + "001234"
    left = sum(int(d) * (3 if at % 2 == 0 else 1) for at, d in enumerate(code))
    code += str(-left % 10)
    assert templates.read(code, "ITF") == reading(
        "own", "12345678", amount_kopecks=123400, period="2026-10"
    )
    assert templates.read(code, "Code128") is None
    assert templates.read(code.replace("202610", "202613"), "ITF") is None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ('name = "Own"', "name"),
        ('name = "own"\nwings = 2', "wings"),
        ("fields = []", "length >= 1"),
        ('fields = [{means = "amount", length = 3}]', "subscriber_account"),
        ('fields = [{means = "wings", length = 3}]', "wings"),
        ('fields = [{means = "subscriber_account", length = 0}]', ">= 1"),
        ('fields = [{means = "subscriber_account"}]', "length"),
        ('fields = [{means = "subscriber_account", length = 2, length_max = 3}]', "length"),
        ('fields = [{means = "subscriber_account", length_min = 3, length_max = 2}]', "length_min"),
        ('fields = [{means = "subscriber_account", text = "7", length = 1}]', "text"),
        ('fields = [{means = "text"}, {means = "subscriber_account", length = 1}]', "text"),
        (
            'fields = [{means = "subscriber_account", length_min = 1, length_max = 9},'
            '{means = "other", length = 2}]',
            "several lengths",
        ),
        (
            'fields = [{means = "subscriber_account", length_min = 1, length_max = 9},'
            '{means = "text", text = "7"}]',
            "several lengths",
        ),
        (
            'fields = [{means = "subscriber_account", length = 1},{means = "check", length = 1}]',
            "both",
        ),
        (
            'fields = [{means = "subscriber_account", length = 1},{means = "amount", length = 16}]',
            "15 digits",
        ),
        (
            'fields = [{means = "subscriber_account", length = 1},{means = "period", length = 5}]',
            "period",
        ),
        (
            'fields = [{means = "subscriber_account", length = 1},'
            '{means = "amount", length = 5, signs = "any"}]',
            "digits",
        ),
        (
            'fields = [{means = "subscriber_account", length = 1},'
            '{means = "amount", length = 5}, {means = "amount", length = 5}]',
            "one field",
        ),
    ],
)
def test_descriptors_that_are_none(changed: str, expected: str) -> None:
    text = changed if "name" in changed.split("=")[0] else f'name = "own"\n{changed}'
    if "fields" not in text:
        text += '\nfields = [{means = "subscriber_account", length = 1}]'
    with pytest.raises(TemplateMisfit, match=expected):
        read_template(text.encode())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_descriptor_or_refused(content: bytes) -> None:
    try:
        read_template(content)
    except TemplateMisfit as misfit:
        told = str(misfit)
    else:
        told = ""
    assert "\n" not in told


def test_a_bad_directory_keeps_the_gateway_from_starting(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="directory"):
        load(tmp_path / "none")
    (tmp_path / "a.toml").write_text(OWN.replace('"own"', '"sber"'))
    with pytest.raises(StartRefused, match=r"a\.toml: .*another name"):
        load(tmp_path)
    (tmp_path / "a.toml").write_text(OWN)
    (tmp_path / "b.toml").write_text(OWN)
    with pytest.raises(StartRefused, match=r"b\.toml"):
        load(tmp_path)
    (tmp_path / "a.toml").write_bytes(b"#" * 70_000)
    with pytest.raises(StartRefused, match="65536 bytes"):
        load(tmp_path)
    for number in range(FILES_MAX):
        (tmp_path / f"{number}.toml").touch()
    with pytest.raises(StartRefused, match="at most"):
        load(tmp_path)
