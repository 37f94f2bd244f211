"""A gate pack is stolen: what the thief can do with it is tried, and is what docs/gate.md says.

The thief has the pack's octets and everything that is published: this code, the form of codes, the parameters.
"""

import base64
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from services.ticketing.codes import Code, make_code
from services.ticketing.device import MOST_NEWER_NUMBERS, check_ticket
from services.ticketing.pack import Hashes, canonical, digest_of, render_pack
from services.ticketing.settings import TicketingSettings
from tests.gate_support import MASTER, NOW, SEED, code, head, key_form, pack_of, qr, row
from tests.harness import Note
from tests.ticket_samples import reference_of

DOCUMENT = (Path(__file__).parents[2] / "docs" / "gate.md").read_text()
OTHER_EVENT = UUID("018f3a7e-5b1c-7d2e-8f40-000000000000")
#: Two hex digits in place of eight, so that the theft succeeds within the test.
SHORT = 2
SPACE = 16**SHORT


def steal(rows: list[Any], **changes: Any) -> dict[str, Any]:
    """What the thief reads in a stolen pack."""
    stolen: dict[str, Any] = orjson.loads(canonical(render_pack(head(**changes), rows)))
    return stolen


def guess(pack: Mapping[str, Any], name: str) -> tuple[Code, int]:
    """Try every signature of one ticket; the code, and how many hashes it took."""
    hashes = Hashes.model_validate(pack["codes"])
    reference, number, digits = name.split("-")
    wanted = base64.b64decode(pack["tickets"][name] + "=")
    for tries in range(1, 16 ** int(digits) + 1):
        candidate = Code(reference, int(number), f"{tries - 1:0{digits}x}")
        if digest_of(candidate, hashes) == wanted:
            return candidate, tries
    raise AssertionError("no signature fits")


def test_with_hashes_a_code_costs_half_the_signatures_and_each_ticket_costs_it_again(note: Note) -> None:
    genuine = [code(reference_of(serial), digits=SHORT) for serial in range(120)]
    pack = steal([row(one) for one in genuine])
    found = {name: guess(pack, name) for name in pack["tickets"]}
    assert {str(one) for one, _ in found.values()} == {str(one) for one in genuine}
    tries = [count for _, count in found.values()]
    mean = sum(tries) / len(tries)
    # The mean of 120 uniform numbers to 256 lies within 34 of 128.5 but for one time in a million.
    assert abs(mean - (SPACE + 1) / 2) < 34
    quarter = sum(count <= SPACE // 4 for count in tries) / len(tries)
    assert 0.06 < quarter < 0.45
    note(f"theft, hashes: {len(tries)} codes of {SHORT} digits took {mean:.0f} hashes each, of {SPACE}")


def test_a_hash_made_for_one_ticket_says_nothing_about_another() -> None:
    """There is no table to be made once: neither for all tickets of an event nor for the next event."""
    genuine = [code(reference_of(serial), digits=SHORT) for serial in range(40)]
    pack = steal([row(one) for one in genuine])
    hashes = Hashes.model_validate(pack["codes"])
    of_one = {digest_of(Code(genuine[0].reference, 1, f"{guessed:02x}"), hashes) for guessed in range(SPACE)}
    digests = [base64.b64decode(digest + "=") for digest in pack["tickets"].values()]
    assert sum(digest in of_one for digest in digests) == 1


def test_at_full_length_the_cost_is_what_the_document_says(note: Note) -> None:
    fields = TicketingSettings.model_fields
    memory_kib, passes = fields["gate_hash_memory_kib"].default, fields["gate_hash_passes"].default
    hashes = Hashes(salt="00" * 16, memory_kib=memory_kib, passes=passes)
    began = time.process_time()
    for number in range(1, 6):
        digest_of(code(number=number), hashes)
    seconds = (time.process_time() - began) / 5
    average = 16**8 // 2
    years = average * seconds / (365.25 * 24 * 3600)
    note(f"theft, hashes: {seconds * 1000:.0f} ms a hash here, {years:.1f} years of one core for a code of 8 digits")
    for stated in (f"{memory_kib} KiB", f"{passes} passes", "2^31", f"{average / 10_000 / 3600:.0f} hours"):
        assert stated in DOCUMENT, stated


def test_with_hashes_nothing_in_the_pack_makes_a_code_or_a_qr() -> None:
    genuine = [code(number=number) for number in (1, 2)]
    stolen = canonical(steal([row(one) for one in genuine]))
    secrets = [MASTER.hex(), key_form()["keys"]["m1"], SEED.hex(), *(one.signature for one in genuine)]
    assert [secret for secret in secrets if secret.encode() in stolen] == []


def forge(pack: Mapping[str, Any], reference: str, number: int, *, event_id: UUID | None = None) -> str:
    """What the thief of a pack with keys makes."""
    key = bytes.fromhex(pack["codes"]["keys"]["m1"])
    return str(make_code(key, event_id or UUID(pack["event"]["id"]), reference, number, digits=8))


def test_with_the_key_every_listed_order_can_be_forged_and_no_other() -> None:
    rows = [row(code("VM9KHU", 1)), row(code("VM9KHU", 2)), row(code("ZZ2345", 1), status="revoked")]
    stolen, device = steal(rows, codes=key_form()), pack_of(rows, codes=key_form())

    def outcome(text: str) -> str:
        return check_ticket(device, text, now=NOW, admitted={}).outcome

    assert forge(stolen, "VM9KHU", 2) == str(code("VM9KHU", 2)), "the very code of an honest guest"
    most = 2 + MOST_NEWER_NUMBERS
    assert [number for number in range(1, 200) if outcome(forge(stolen, "VM9KHU", number)) == "valid"] == [
        *range(1, most + 1)
    ]
    for number in range(3, most + 1):
        assert check_ticket(device, forge(stolen, "VM9KHU", number), now=NOW, admitted={}).is_newer, "it is marked"
    assert outcome(forge(stolen, "ZZ2345", 1)) == "revoked"
    for serial in range(50):
        assert outcome(forge(stolen, reference_of(serial), 1)) == "unknown_ticket"
    assert f"{MOST_NEWER_NUMBERS} numbers" in DOCUMENT


def test_with_the_key_of_one_event_nothing_is_forged_for_another_and_no_qr() -> None:
    stolen = steal([row(code())], codes=key_form())
    genuine = code(event_id=OTHER_EVENT)
    other_head = head(codes=key_form(OTHER_EVENT))
    other_head["event"] = {**other_head["event"], "id": str(OTHER_EVENT)}
    other = pack_of([row(genuine)]).model_validate(render_pack(other_head, [row(genuine)]))
    assert check_ticket(other, str(genuine), now=NOW, admitted={}).outcome == "valid"
    for event_id in (None, OTHER_EVENT):
        forged = forge(stolen, "VM9KHU", 1, event_id=event_id)
        assert check_ticket(other, forged, now=NOW, admitted={}).outcome == "unknown_ticket"
    assert MASTER.hex().encode() not in canonical(stolen)
    assert SEED.hex().encode() not in canonical(stolen)
    assert check_ticket(other, qr(code()), now=NOW, admitted={}).outcome == "other_event"
