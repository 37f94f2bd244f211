"""Typed codes: forgiving to people, unforgiving to forgers."""

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ticketing.codes import Code, derive_event_key, make_code, read_code, verify_code

EVENT = UUID("018f3a7e-5b1c-7d2e-8f40-112233445566")
OTHER_EVENT = UUID("018f3a7e-5b1c-7d2e-8f40-112233445567")
KEY = derive_event_key(bytes(32), EVENT)
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"

references = st.text(ALPHABET, min_size=6, max_size=6)
numbers = st.integers(1, 20_000)


def test_a_code_has_reference_number_and_signature() -> None:
    text = str(make_code(KEY, EVENT, "VL9KHU", 7, digits=8))
    assert text.startswith("VL9KHU-007-")
    assert len(text) == 19


@pytest.mark.parametrize(
    "typed",
    [
        "VL9KHU-010-{}",
        "vl9khu-010-{}",
        " VL9KHU 010 {} ",
        "VL9KHU\u2013010\u2014{}",
        "VL9KHU010{}",
        "vl9 khu 010 {}",
        "VL9KHU-O1O-{}",
        "VL9KHU-oIo-{}",
        "VL9KHU-10-{}",
    ],
)
def test_input_forgives_case_spaces_dashes_and_look_alikes(typed: str) -> None:
    code = make_code(KEY, EVENT, "VL9KHU".replace("L", "M"), 10, digits=8)
    text = typed.replace("VL", "VM").replace("vl", "vm").format(code.signature)
    assert read_code(text) == code
    assert read_code(text.upper()) == code


def test_characters_a_reference_never_has_are_read_as_those_they_look_like() -> None:
    assert read_code("0O1ILA-001-f3a2b1c0") == Code("QQJJJA", 1, "f3a2b1c0")
    assert read_code("ABCDEF-001-OILZSGQF") == Code("ABCDEF", 1, "0112560f")


@pytest.mark.parametrize(
    "text", ["", "-", "hello", "VM9KHU-000-f3a2b1c0", "VM9KHU-001-f3a2b1c", "VM9KHU-123456-f3a2b1c0", "A" * 500, "\x00"]
)
def test_what_cannot_be_a_code_is_refused(text: str) -> None:
    assert read_code(text) is None


@given(references, numbers, st.sampled_from([8, 9, 16, 32]))
@settings(max_examples=50, deadline=None)
def test_a_code_verifies_after_printing_and_reading(reference: str, number: int, digits: int) -> None:
    code = make_code(KEY, EVENT, reference, number, digits=digits)
    assert read_code(str(code)) == code
    assert verify_code(code, [bytes(32), KEY], EVENT)


@given(references, numbers, st.data())
@settings(max_examples=40, deadline=None)
def test_no_single_changed_character_verifies(reference: str, number: int, data: st.DataObject) -> None:
    text = str(make_code(KEY, EVENT, reference, number, digits=8))
    genuine = read_code(text)
    replacement = data.draw(st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_ "))
    for position in range(len(text)):
        changed = read_code(text[:position] + replacement + text[position + 1 :])
        # What is forgiven reads as the very same code; anything else must fail.
        assert changed is None or changed == genuine or not verify_code(changed, [KEY], EVENT)


@given(references, numbers, numbers)
@settings(max_examples=50, deadline=None)
def test_neither_a_swapped_number_nor_a_swapped_event_verifies(reference: str, number: int, other: int) -> None:
    code = make_code(KEY, EVENT, reference, number, digits=8)
    if other != number:
        assert not verify_code(Code(reference, other, code.signature), [KEY], EVENT)
    assert not verify_code(code, [KEY], OTHER_EVENT)
    assert not verify_code(code, [derive_event_key(bytes(32), OTHER_EVENT)], OTHER_EVENT)


def test_a_signature_cut_short_is_not_a_short_signature() -> None:
    code = make_code(KEY, EVENT, "VM9KHU", 1, digits=16)
    assert verify_code(code, [KEY], EVENT, least_digits=16)
    assert not verify_code(Code("VM9KHU", 1, code.signature[:8]), [KEY], EVENT)


def test_a_verifier_refuses_signatures_shorter_than_it_was_told() -> None:
    code = make_code(KEY, EVENT, "VM9KHU", 1, digits=8)
    assert verify_code(code, [KEY], EVENT)
    assert not verify_code(code, [KEY], EVENT, least_digits=12)


def test_guesses_succeed_at_the_rate_their_length_says() -> None:
    """At two digits one guess in 256 is right; a constant signature is as good a guess as any."""
    guesses = 25_600
    hits = sum(
        verify_code(Code(reference, number, "a7"), [KEY], EVENT, least_digits=2)
        for reference in ("VM9KHU", "ZZ2345")
        for number in range(1, guesses // 2 + 1)
    )
    # Mean 100, standard deviation 10; the keys are fixed, so this cannot fail by chance.
    assert 60 <= hits <= 140
