"""Reading what Paystack sends: every form the fact sheet knows, and none that is wrong."""

import hashlib
import hmac

import pytest

from services.payments.exceptions import RateLimited, Refused, Unknown
from services.payments.webhooks import is_authentic
from services.payments.wire import Envelope, read_envelope, read_facts

DATA = {
    "id": 18446744073709551615,
    "reference": "bx-1",
    "status": "success",
    "amount": 20_000,
    "currency": "NGN",
    "domain": "test",
    "paid_at": "2026-09-01T10:00:00.000Z",
    "metadata": 0,
    "log": None,
    "plan": {},
}


def test_a_64_bit_id_stays_exact_as_text() -> None:
    assert read_facts(DATA).charge_id == "18446744073709551615"
    assert read_facts({**DATA, "id": "42"}).charge_id == "42"


@pytest.mark.parametrize("amount", [20_000, "20000", 20_000.0])
def test_an_amount_may_be_a_number_or_text(amount: object) -> None:
    assert read_facts({**DATA, "amount": amount}).amount_kobo == 20_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 100.5},
        {"amount": "100.50"},
        {"amount": True},
        {"amount": -1},
        {"id": None},
        {"id": "x"},
        {"reference": 5},
    ],
    ids=str,
)
def test_what_is_no_charge_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read_facts({**DATA, **wrong})


def test_either_spelling_of_paid_at_and_odd_fees_are_read() -> None:
    data = {**DATA, "fees": "none", "paidAt": DATA["paid_at"]}
    del data["paid_at"]
    facts = read_facts(data)
    assert facts.paid_at is not None
    assert facts.fees_kobo is None
    assert read_facts({**DATA, "paid_at": None}).paid_at is None


@pytest.mark.parametrize("metadata", ["", 0, None, {}, {"a": {"b": "42"}}, "{}", "free text", ["a"], 1.5, True])
def test_metadata_of_any_form_is_not_looked_at(metadata: object) -> None:
    assert read_facts({**DATA, "metadata": metadata}) == read_facts(DATA)


def test_answers_are_told_apart() -> None:
    assert read_envelope(200, {}, b'{"status":true,"data":{"a":1}}') == Envelope({"a": 1})
    assert read_envelope(200, {}, b'{"status":true,"data":[],"meta":{"next":null}}') == Envelope([], {"next": None})
    with pytest.raises(Refused) as refused:
        read_envelope(
            400, {}, b'{"status":false,"message":"Duplicate Transaction Reference","code":"duplicate_reference"}'
        )
    assert refused.value.code == "duplicate_reference"
    with pytest.raises(Refused):
        read_envelope(200, {}, b'{"status":false,"message":"no"}')
    for status, body in ((502, b"<html>"), (503, b'{"status":false}'), (200, b"[]"), (200, b"")):
        with pytest.raises(Unknown):
            read_envelope(status, {}, body)


def test_a_429_says_how_long_to_wait() -> None:
    for headers, seconds in (({"x-ratelimit-reset": "17"}, 17), ({}, 30), ({"x-ratelimit-reset": "soon"}, 30)):
        with pytest.raises(RateLimited) as limited:
            read_envelope(429, headers, b"")
        assert limited.value.reset_seconds == seconds


def test_only_the_raw_octets_under_one_of_the_keys_are_authentic() -> None:
    body = '{"event":"charge.success","name":"Adé"}'.encode()
    good = hmac.new(b"sk_test_two", body, hashlib.sha512).hexdigest()
    assert is_authentic(body, good, ["sk_test_one", "sk_test_two"])
    assert is_authentic(body, good.upper(), ["sk_test_two"])
    assert not is_authentic(body + b" ", good, ["sk_test_two"])
    assert not is_authentic(body, good, ["sk_test_one"])
    assert not is_authentic(body, "", ["sk_test_two"])
    assert not is_authentic(body, "é" * 128, ["sk_test_two"])
