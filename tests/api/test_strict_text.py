"""A key that comes twice is refused wherever it stands, whatever else the text leaves out."""

import pytest

from gateway.api import decode
from gateway.domain.refusals import Refusal

METHOD = '"method":{"type":"cash"}'
ACCOUNT = '"subscriber_account":"1"'

TAKEN = [
    f'{{{ACCOUNT},"amount":1,{METHOD}}}',
    f'{{{ACCOUNT},"amount":1,{METHOD},"currency":"RUB"}}',
    f'{{{ACCOUNT},"amount":1,{METHOD},"currency":"RUB","reference":null,"designation":{{}}}}',
    f'{{{ACCOUNT},"amount":1,{METHOD},"reference":"amount"}}',
    f'{{{ACCOUNT},"amount":1,{METHOD},"reference":"a \\"quoted\\" word"}}',
]

REFUSED = [
    f'{{{ACCOUNT},"amount":1,"amount":1,{METHOD}}}',
    f'{{{ACCOUNT},{ACCOUNT},"amount":1,{METHOD}}}',
    f'{{{ACCOUNT},"amount":1,{METHOD},{METHOD}}}',
    f'{{{ACCOUNT},"amount":1,{METHOD},"currency":"RUB","currency":"RUB"}}',
    f'{{{ACCOUNT},"amount":1,{METHOD},"reference":null,"reference":null}}',
    f'{{{ACCOUNT},"amount":1,{METHOD},"reference":null,"reference":"x"}}',
    f'{{{ACCOUNT},"amount":1,"method":{{"type":"card","type":"cash"}}}}',
    f'{{{ACCOUNT},"amount":1,"method":{{"type":"cash","typ\\u0065":"cash"}}}}',
    f'{{{ACCOUNT},"amount":1,{METHOD},"designation":{{"heat":1,"heat":2}}}}',
    f'{{{ACCOUNT},"amount":1,{METHOD},"reference":"x\\u0000"}}',
]


@pytest.mark.parametrize("text", TAKEN)
def test_text_is_taken_and_its_spelling_makes_no_other_request(text: str) -> None:
    line = f'{{"idempotency_key":"k",{text[1:]}'
    alone = decode.payment(text.encode(), "k", 1).claim
    assert decode.bulk_payment(line.encode(), 1).claim == alone
    spaced = text.replace(":", " : ").replace("{", "{ ")
    assert decode.payment(spaced.encode(), "k", 1).claim == alone


@pytest.mark.parametrize("text", REFUSED)
def test_text_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        decode.payment(text.encode(), "k", 1)
    assert caught.value.code == "malformed"


@pytest.mark.parametrize("text", REFUSED)
@pytest.mark.parametrize("key", ['"k"', "null"])
def test_line_is_refused(text: str, key: str) -> None:
    with pytest.raises(Refusal) as caught:
        decode.bulk_payment(f'{{"idempotency_key":{key},{text[1:]}'.encode(), 1)
    assert caught.value.code == "malformed"


def test_said_or_not_the_currency_is_one_request() -> None:
    silent, said = (decode.payment(text.encode(), "k", 1).claim for text in TAKEN[:2])
    assert silent == said
