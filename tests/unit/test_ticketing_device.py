"""What a gate device without internet lets in, and what it refuses and why."""

from datetime import timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ticketing.codes import Code
from services.ticketing.device import MOST_NEWER_NUMBERS, FirstAdmission, Outcome, check_ticket
from services.ticketing.pack import Pack
from tests.gate_support import NOW, code, key_form, pack_of, qr, row

OTHER_EVENT = UUID("018f3a7e-5b1c-7d2e-8f40-000000000000")
GENUINE, REVOKED, BLOCKED = code(number=1), code(number=2), code(number=3)
ROWS = [row(GENUINE), row(REVOKED, status="revoked"), row(BLOCKED, status="blocked", was_blocked=True)]
HASHES, KEY = pack_of(ROWS), pack_of(ROWS, codes=key_form())
BOTH = pytest.mark.parametrize("pack", [HASHES, KEY], ids=["hashes", "key"])


def outcome_of(pack: Pack, text: str, **changes: timedelta) -> Outcome:
    return check_ticket(pack, text, now=NOW + changes.get("later", timedelta()), admitted={}).outcome


@BOTH
def test_a_genuine_ticket_is_let_in_as_code_and_as_qr(pack: Pack) -> None:
    assert outcome_of(pack, str(GENUINE)) == "valid"
    assert outcome_of(pack, f"  {str(GENUINE).lower().replace('-', ' ')} ") == "valid"
    verdict = check_ticket(pack, qr(GENUINE), now=NOW, admitted={})
    assert (verdict.outcome, verdict.code, verdict.is_newer) == ("valid", GENUINE, False)


@BOTH
@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (str(REVOKED), "revoked"),
        (qr(REVOKED), "revoked"),
        (str(BLOCKED), "blocked"),
        (qr(BLOCKED), "blocked"),
        (str(code("ZZ2345")), "unknown_ticket"),
        (str(code(event_id=OTHER_EVENT)), "unknown_ticket"),
        (qr(code(event_id=OTHER_EVENT), event_id=OTHER_EVENT), "other_event"),
        (qr(GENUINE, key=Ed25519PrivateKey.from_private_bytes(bytes(32))), "unknown_ticket"),
        ("hello", "not_a_ticket"),
        ("", "not_a_ticket"),
        ("BX1.AAAA", "unknown_ticket"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_refused_says_why(pack: Pack, text: str, outcome: Outcome) -> None:
    assert outcome_of(pack, text) == outcome


@BOTH
def test_a_ticket_is_let_in_while_the_gates_are_open(pack: Pack) -> None:
    for text in (str(GENUINE), qr(GENUINE)):
        assert outcome_of(pack, text, later=timedelta(hours=-2, seconds=-1)) == "not_valid_yet"
        assert outcome_of(pack, text, later=timedelta(hours=-2)) == "valid"
        assert outcome_of(pack, text, later=timedelta(hours=9)) == "valid"
        assert outcome_of(pack, text, later=timedelta(hours=9, seconds=1)) == "not_valid_any_more"


@BOTH
def test_a_second_showing_says_where_and_when_the_first_was(pack: Pack) -> None:
    first = FirstAdmission("north", NOW)
    for text in (str(GENUINE), qr(GENUINE)):
        verdict = check_ticket(pack, text, now=NOW, admitted={str(GENUINE): first})
        assert (verdict.outcome, verdict.first, verdict.lets_in) == ("already_admitted", first, False)


@BOTH
@given(data=st.data())
@settings(deadline=None, max_examples=100)
def test_no_other_signature_of_a_known_ticket_is_let_in(pack: Pack, data: st.DataObject) -> None:
    signature = data.draw(st.text("0123456789abcdef", min_size=8, max_size=12))
    verdict = check_ticket(pack, str(Code("VM9KHU", 1, signature)), now=NOW, admitted={})
    assert verdict.lets_in == (signature == GENUINE.signature)


def test_a_ticket_that_is_newer_than_the_pack_is_let_in_by_its_qr() -> None:
    newer = code("ZZ2345")
    for pack in (HASHES, KEY):
        verdict = check_ticket(pack, qr(newer), now=NOW, admitted={})
        assert (verdict.outcome, verdict.is_newer) == ("valid", True)


def test_a_newer_number_of_a_known_order_is_taken_by_the_key_alone_and_within_a_limit() -> None:
    """Re-issued since the pack was made. The form hashes cannot know it; the QR would do."""
    reissued = str(code(number=4))
    assert outcome_of(HASHES, reissued) == "unknown_ticket"
    verdict = check_ticket(KEY, reissued, now=NOW, admitted={})
    assert (verdict.outcome, verdict.is_newer) == ("valid", True)
    assert outcome_of(KEY, str(code(number=3 + MOST_NEWER_NUMBERS))) == "valid"
    assert outcome_of(KEY, str(code(number=4 + MOST_NEWER_NUMBERS))) == "unknown_ticket"


@BOTH
def test_a_cut_off_refuses_what_the_stolen_key_signed_after_it_and_before_it_what_is_not_listed(pack: Pack) -> None:
    cut_off = NOW - timedelta(days=1)
    stolen = pack.model_copy(
        update={"public_keys": {"s1": pack.public_keys["s1"].model_copy(update={"compromised_at": cut_off})}}
    )
    early, late = cut_off - timedelta(seconds=1), cut_off
    assert outcome_of(stolen, qr(GENUINE, issued_at=early)) == "valid"
    assert outcome_of(stolen, qr(GENUINE, issued_at=late)) == "key_compromised"
    # The thief dates his QRs back; what he makes up is not listed, neither order nor signature.
    assert outcome_of(stolen, qr(code("ZZ2345"), issued_at=early)) == "key_compromised"
    assert outcome_of(stolen, qr(Code("VM9KHU", 1, "00000000"), issued_at=early)) == "key_compromised"


def test_a_code_whose_key_was_cut_off_is_not_listed_and_its_qr_still_lets_in() -> None:
    pack = pack_of([row(GENUINE, takes_code=False)])
    assert outcome_of(pack, str(GENUINE)) == "unknown_ticket"
    assert outcome_of(pack, qr(GENUINE)) == "valid"
