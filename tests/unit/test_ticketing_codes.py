"""Typed codes: forgiving to people, unforgiving to forgers."""

import math
import random
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


#: What a character of each part may be typed as instead, as docs/tickets.md says.
LOOKS = (
    {"Q": "0Oo", "J": "1IiLl"},
    {"0": "OoQqDd", "1": "IiLl", "2": "Zz", "5": "Ss", "6": "Gg", "8": "Bb"},
    {"0": "OoQq", "1": "IiLl", "2": "Zz", "5": "Ss", "6": "Gg"},
)
SEPARATORS = "-_./ \t"
TYPEABLE = [chr(code) for code in range(32, 127)] + ["\t"]


def is_forgiven(text: str, position: int, replacement: str) -> bool:
    """Whether the document says that this one change still means the same code."""
    part, genuine = text[:position].count("-"), text[position]
    if genuine == "-" or (part == 1 and text[position - 1] == "-" and genuine == "0"):
        # Any separator for another; and one more in the place of a leading zero, which may be left out.
        return replacement == genuine or replacement in SEPARATORS or replacement in LOOKS[part].get(genuine, "")
    return replacement.upper() == genuine.upper() or replacement in LOOKS[part].get(genuine.upper(), "")


@given(references, numbers, st.sampled_from([8, 9, 32]))
@settings(max_examples=5)
def test_no_single_changed_character_verifies_but_those_that_are_forgiven(
    reference: str, number: int, digits: int
) -> None:
    """Every position, every character that can be typed: what verifies is what the document forgives, and no more."""
    genuine = make_code(KEY, EVENT, reference, number, digits=digits)
    text = str(genuine)
    for position in range(len(text)):
        for replacement in TYPEABLE:
            changed = read_code(text[:position] + replacement + text[position + 1 :])
            verifies = changed is not None and verify_code(changed, [KEY], EVENT)
            assert verifies == is_forgiven(text, position, replacement), (text, position, replacement)
            assert not verifies or changed == genuine


@given(references, numbers, st.data())
@settings(max_examples=200)
def test_no_change_of_one_character_verifies_whatever_alphabet_it_is_of(
    reference: str, number: int, data: st.DataObject
) -> None:
    """Dropped, doubled, swapped with its neighbour, or replaced by anything that Unicode has."""
    genuine = make_code(KEY, EVENT, reference, number, digits=8)
    text = str(genuine)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters())
    for changed in (
        text[:at] + text[at + 1 :],
        text[:at] + other + text[at:],
        text[:at] + other + text[at + 1 :],
        text[:at] + text[at : at + 2][::-1] + text[at + 2 :],
    ):
        read = read_code(changed)
        assert read is None or read == genuine or not verify_code(read, [KEY], EVENT)


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


def most_deviation(tries: int, chance: float, *, false_alarms: float) -> float:
    """How far the hits of a fair guesser may be from their mean: Bernstein's bound, solved for the deviation.

    P(|X - np| >= t) <= 2 exp(-t^2 / (2 (np(1-p) + t/3))), set equal to ``false_alarms``.
    """
    logarithm = math.log(2 / false_alarms)
    variance = tries * chance * (1 - chance)
    return logarithm / 3 + math.sqrt((logarithm / 3) ** 2 + 2 * variance * logarithm)


@pytest.mark.parametrize(("digits", "guesses"), [(1, 3_000), (2, 30_000)])
def test_guesses_succeed_at_the_rate_their_length_says(digits: int, guesses: int) -> None:
    """A forger who knows everything but the key is right once in 16^n guesses, whatever he guesses.

    The lengths that are sold cannot be sampled; these are made by the same function, which signs the length too.
    """
    forger = random.Random(20_310_517 + digits)
    keys = [derive_event_key(forger.randbytes(32), EVENT) for _ in range(20)]
    hits = 0
    for guess in range(guesses):
        reference = "".join(forger.choices(ALPHABET, k=6))
        signature = f"{forger.randrange(16**digits):0{digits}x}"
        code = Code(reference, forger.randint(1, 20_000), signature)
        hits += verify_code(code, [keys[guess % len(keys)]], EVENT, least_digits=digits)
    expected = guesses / 16**digits
    assert abs(hits - expected) <= most_deviation(guesses, 16**-digits, false_alarms=1e-9), (hits, expected)


def test_the_bound_of_the_guesses_would_notice_a_digit_less() -> None:
    """A check that cannot fail is none: signatures one digit weaker, or never right, would be far outside."""
    for digits, guesses in ((1, 3_000), (2, 30_000)):
        chance = 16**-digits
        bound = most_deviation(guesses, chance, false_alarms=1e-9)
        assert guesses * chance - bound > 0
        assert guesses * chance * 16 - bound > guesses * chance + bound
