"""Which key signs, and what is believed of a signature once its key is in other hands."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ticketing.keyring import KeyRing, KeyStatus, is_accepted, parse_cut_offs

CUT_OFF = datetime(2031, 5, 1, 12, tzinfo=UTC)
RING = KeyRing(("k3", "k2", "k1"), {"k3": CUT_OFF})
SECOND = timedelta(seconds=1)


def test_the_newest_key_that_is_not_compromised_signs() -> None:
    assert KeyRing(("k2", "k1"), {}).signing_id == "k2"
    assert RING.signing_id == "k2"
    assert KeyRing(("k1",), {"k1": CUT_OFF}).signing_id is None


@pytest.mark.parametrize(
    ("key_id", "signed_at", "status"),
    [
        ("k2", CUT_OFF + SECOND, "good"),
        ("k1", None, "good"),
        ("k3", CUT_OFF - SECOND, "doubtful"),
        ("k3", CUT_OFF, "cut_off"),
        ("k3", CUT_OFF + SECOND, "cut_off"),
        ("k3", None, "doubtful"),
        ("k4", CUT_OFF - SECOND, "unknown"),
        ("", None, "unknown"),
    ],
)
def test_what_a_signature_is_worth(key_id: str, signed_at: datetime | None, status: KeyStatus) -> None:
    assert RING.status(key_id, signed_at) == status


@given(st.datetimes(timezones=st.just(UTC)))
def test_no_time_that_a_thief_can_write_makes_a_compromised_key_proof(signed_at: datetime) -> None:
    assert RING.status("k3", signed_at) != "good"


def test_what_we_know_to_have_issued_is_accepted_unless_it_was_signed_too_late() -> None:
    statuses: tuple[KeyStatus, ...] = ("good", "doubtful", "cut_off", "unknown")
    assert [is_accepted(status) for status in statuses] == [True, True, False, False]


def test_cut_offs_are_read_with_their_zone_and_in_whole_seconds() -> None:
    read = parse_cut_offs("s1:2031-05-01T13:00:00.9+01:00, s2:2031-05-02T00:00:00Z")
    assert read == {"s1": CUT_OFF, "s2": datetime(2031, 5, 2, tzinfo=UTC)}


@given(st.integers(0, 10**13), st.integers(-2, 2))
def test_a_gate_that_sees_whole_seconds_and_our_rows_agree(microseconds: int, shift: int) -> None:
    """A QR's time has no fractions, a row's has: they must fall on the same side of every cut-off."""
    cut_off = CUT_OFF + timedelta(microseconds=microseconds)
    ring = KeyRing(("k1",), parse_cut_offs(f"k1:{cut_off.isoformat()}"))
    in_the_row = cut_off + timedelta(milliseconds=400 * shift)
    assert ring.status("k1", in_the_row) == ring.status("k1", in_the_row.replace(microsecond=0))


@pytest.mark.parametrize("text", ["", "s1", "s1:", "s1:yesterday", "s1:2031-05-01T12:00:00", "s 1:2031-05-01T12:00:00Z",
                                  "s1:2031-05-01T12:00:00Z,s1:2031-05-01T12:00:00Z"])  # fmt: skip
def test_a_cut_off_that_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be id:time|there twice"):
        parse_cut_offs(text)
