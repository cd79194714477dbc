"""SBP links: published ones, their control sum, and links that were made wrongly or changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.refusals import Refusal
from gateway.methods import normalise, sbp_link
from gateway.methods.sbp_link import DYNAMIC, STATIC, STATIC_OR_CASH_REGISTER, SbpLink, parse

BD = "https://qr.nspk.ru/BD20001KFVL3DTB188K8MHAE2JQ5L627?type=02&bank=100000000004"
AS = "https://qr.nspk.ru/AS100074QCPTCVTO8JM9NO8IDAIQPHPB?type=01&bank=100000000061"
DYNAMIC_LINK = f"{BD}&sum=12300&cur=RUB&crc=82B1"
SANDBOX = "https://qr.nspk.ru/AD75B0C97610446B8B9F2C6ED5717058?type=02&bank=10000001&sum=8290"

# Seen in documents and issues of banks and aggregators, all of members in production.
PUBLISHED = [
    (DYNAMIC_LINK, "BD20001KFVL3DTB188K8MHAE2JQ5L627", DYNAMIC, "100000000004", 12300),
    (
        "https://qr.nspk.ru/AD100004BAL7227F9BNP6KNE007J9B3K"
        "?type=02&bank=100000000007&sum=1&cur=RUB&crc=AB75",
        "AD100004BAL7227F9BNP6KNE007J9B3K", DYNAMIC, "100000000007", 1,
    ),
    (
        "https://qr.nspk.ru/AS2A006F0RCJU7V991SBLV4AACJGFT2P"
        "?type=01&bank=100000000004&crc=A93E",
        "AS2A006F0RCJU7V991SBLV4AACJGFT2P", STATIC_OR_CASH_REGISTER, "100000000004", None,
    ),
    (
        "https://qr.nspk.ru/AS100001ORTF4GAF80KPJ53K186D9A3G"
        "?type=01&bank=100000000007&crc=0C8A",
        "AS100001ORTF4GAF80KPJ53K186D9A3G", STATIC_OR_CASH_REGISTER, "100000000007", None,
    ),
    (
        f"{AS}&sum=1000&cur=RUB&crc=2FF3",
        "AS100074QCPTCVTO8JM9NO8IDAIQPHPB", STATIC, "100000000061", 1000,
    ),
]  # fmt: skip


def signed(text: str) -> str:
    return f"{text}&crc={sbp_link.crc_of(text)}"


@pytest.mark.parametrize(("link", "id_", "kind", "member", "kopecks"), PUBLISHED)
def test_published_links(link: str, id_: str, kind: str, member: str, kopecks: int | None) -> None:
    assert sbp_link.is_link(link)
    assert parse(link) == SbpLink(id_, kind, member, kopecks)
    assert parse(f" {link}\n") == parse(link)
    assert sbp_link.is_link(f"\u00a0{link}"), "as whoever strips it sees it"
    head, _, rest = link.partition("qr.nspk.ru")
    assert sbp_link.is_link(f"{head.upper()}QR.NSPK.RU{rest}")


def test_control_sum_is_the_published_one() -> None:
    assert sbp_link.crc_of("123456789") == "29B1"


@pytest.mark.parametrize(
    ("link", "code"),
    [
        (DYNAMIC_LINK.replace("sum=12300", "sum=12301"), "qr_crc_mismatch"),
        (DYNAMIC_LINK.replace("82B1", "82B2"), "qr_crc_mismatch"),
        (DYNAMIC_LINK.replace("100000000004", "100000000005"), "qr_crc_mismatch"),
        # A sum put into a static link without a new crc, as shops have done.
        (f"{AS}&sum=2000&cur=RUB&crc=2FF3", "qr_crc_mismatch"),
        # The constant of sandboxes, in a link of a member in production.
        (f"{BD}&sum=10000&cur=RUB&crc=C08B", "qr_crc_mismatch"),
        # What stands behind the crc is under no control.
        (f"{DYNAMIC_LINK}&sum=1", "qr_invalid"),
        (signed(f"{AS}&sum=2000") + "&cur=RUB", "qr_invalid"),
        (signed(f"{BD}&sum=1&sum=2"), "qr_invalid"),
        (signed(BD), "qr_invalid"),
        (signed(f"{BD}&sum=0"), "qr_invalid"),
        (signed(f"{BD}&sum=1.5"), "qr_invalid"),
        (signed(f"{BD}&sum=1&cur=USD"), "qr_invalid"),
        (signed(f"{BD}&sum=١"), "qr_invalid"),
        (signed(BD.replace("type=02", "type=03")), "qr_invalid"),
        (signed(AS.replace("&bank=100000000061", "")), "qr_invalid"),
        (signed(AS.replace("AS1", "A-1")), "qr_invalid"),
        (signed(AS.replace("?", "/?")), "qr_invalid"),
        (AS, "qr_invalid"),
        (f"{AS}&crc=", "qr_invalid"),
        ("https://qr.nspk.ru/", "qr_invalid"),
        ("https://qr.nspk.ru/AS2A", "qr_invalid"),
        (AS + "&x=" + "1" * 600, "qr_invalid"),
        (signed(f"{AS}&card=4111111111111111"), "pan_not_allowed"),
    ],
)
def test_refused_links(link: str, code: str) -> None:
    assert sbp_link.is_link(link)
    with pytest.raises(Refusal) as caught:
        parse(link)
    assert caught.value.code == code
    assert "4111" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "http://qr.nspk.ru/AS2A", "https://qr.nspk.ru.evil.example/A", "https://nspk.ru/A",
        "https://evil.example/https://qr.nspk.ru/A", "ST00012|x=https://qr.nspk.ru/A", "",
    ],
)  # fmt: skip
def test_what_is_no_link_of_sbp(text: str) -> None:
    assert not sbp_link.is_link(text)


@pytest.mark.parametrize(
    "link",
    [
        f"{SANDBOX}&cur=RUB&crc=C08B",
        DYNAMIC_LINK.replace("qr.nspk.ru", "qr-test.nspk.ru"),
    ],
)
def test_sandbox_links_are_read_with_a_warning(link: str) -> None:
    assert parse(link).warnings == ("sbp_sandbox",)


def test_parameters_of_others_are_left_alone_with_a_warning() -> None:
    link = f"{DYNAMIC_LINK}&payment_id=2c27b416-000f-5000-8000-189669a4628b"
    assert parse(link).warnings == ("parameter_unknown",)
    assert parse(signed(f"{BD}&sum=1&note=a")).warnings == ("parameter_unknown",)


@given(st.integers(0, len(DYNAMIC_LINK) - 5), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_changed_character_passes(at: int, sign: str) -> None:
    changed = DYNAMIC_LINK[:at] + sign + DYNAMIC_LINK[at + 1 :]
    # The host may change: another one is a sandbox's.
    outcome = outcome_of(changed)
    assert outcome in ("qr_invalid", "qr_crc_mismatch", "sbp_sandbox", parse(DYNAMIC_LINK))


def outcome_of(link: str) -> object:
    """A warning, a refusal's code, or the link."""
    try:
        found = parse(link)
    except Refusal as refusal:
        return refusal.code
    return found.warnings[0] if found.warnings else found


def test_a_payment_by_link_keeps_what_finds_it_again() -> None:
    found = normalise({"type": "qr", "payload": DYNAMIC_LINK, "operation_id": "A6330"})
    assert (found.type, found.network, found.subscriber_account) == ("qr", None, None)
    assert found.facts == {
        "operation_id": "A6330",
        "link_id": "BD20001KFVL3DTB188K8MHAE2JQ5L627",
        "link_kind": "dynamic",
        "link_bank": "100000000004",
        "link_amount_kopecks": "12300",
    }
    sandbox = {"type": "qr", "payload": f"{SANDBOX}&cur=RUB&crc=C08B", "operation_id": "A1"}
    assert normalise(sandbox).facts["warning"] == "sbp_sandbox"


def test_a_payment_by_link_needs_the_banks_operation() -> None:
    with pytest.raises(Refusal) as caught:
        normalise({"type": "qr", "payload": DYNAMIC_LINK})
    assert caught.value.code == "method_invalid"
