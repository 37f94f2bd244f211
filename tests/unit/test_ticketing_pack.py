"""Gate packs: an update leads to the very pack, nothing can be changed, and what a device must not use it does not."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ticketing.codes import make_code
from services.ticketing.pack import (
    CodeForm,
    EntryStatus,
    PackError,
    PackRow,
    apply_delta,
    canonical,
    digest_of,
    read_pack,
    render_delta,
    render_pack,
    trusted_keys,
    verify_pack,
)
from tests.gate_support import CHEAP, EVENT_ID, NOW, PUBLIC_KEY, code, head, key_form, pack_of, row, sign
from tests.ticket_samples import reference_of

TRUSTED = {"s1": PUBLIC_KEY}
STATUSES: list[EntryStatus] = ["valid", "blocked", "revoked"]


@st.composite
def histories(draw: st.DrawFn) -> list[list[PackRow]]:
    """The rows after each of some versions: tickets come, are blocked, unblocked and revoked."""
    rows: dict[str, PackRow] = {}
    versions = []
    for version in range(1, draw(st.integers(2, 6)) + 1):
        for serial in draw(st.lists(st.integers(0, 9), max_size=6)):
            reference, number = reference_of(serial // 3), serial % 3 + 1
            digits = draw(st.sampled_from([8, 9]))
            name = f"{reference}-{number}-{digits}"
            if name not in rows:
                # The digest's value does not matter here, and making one takes time.
                one = make_code(bytes(32), EVENT_ID, reference, number, digits=digits)
                digest = name.encode().ljust(8)[-8:]
                rows[name] = PackRow(one, digest, "valid", was_blocked=False, takes_code=True, version=version)
            old = rows[name]
            status: EntryStatus = "revoked" if old.status == "revoked" else draw(st.sampled_from(STATUSES))
            rows[name] = replace(
                old, status=status, was_blocked=old.was_blocked or status == "blocked", version=version
            )
        versions.append(list(rows.values()))
    return versions


@given(histories(), st.sampled_from(["hashes", "key"]), st.data())
@settings(deadline=None, max_examples=100)
def test_an_update_from_any_version_gives_the_new_pack_octet_for_octet(
    versions: list[list[PackRow]], form: CodeForm, data: st.DataObject
) -> None:
    codes = key_form() if form == "key" else None
    packs = [render_pack(head(version=number, codes=codes), rows) for number, rows in enumerate(versions, start=1)]
    since = data.draw(st.integers(1, len(packs)))
    delta = render_delta(head(version=len(packs), codes=codes), versions[-1], since=since)
    # Over the wire and back, as a device gets it.
    delta, old = orjson.loads(orjson.dumps(delta)), orjson.loads(canonical(packs[since - 1]))
    assert canonical(apply_delta(old, delta)) == canonical(packs[-1])
    assert read_pack(packs[-1]).version == len(packs)


def test_updates_one_after_the_other_and_one_for_all_lead_to_one_pack() -> None:
    first, second = row(code(number=1)), row(code(number=2), version=2)
    revoked = replace(first, status="revoked", version=3)
    old = render_pack(head(), [first])
    step = apply_delta(old, render_delta(head(version=2), [first, second], since=1))
    steps = apply_delta(step, render_delta(head(version=3), [revoked, second], since=2))
    leap = apply_delta(old, render_delta(head(version=3), [revoked, second], since=1))
    assert canonical(steps) == canonical(leap) == canonical(render_pack(head(version=3), [revoked, second]))


def test_an_update_for_another_version_or_event_is_refused() -> None:
    pack = render_pack(head(version=2), [row(code())])
    delta = render_delta(head(version=3), [row(code())], since=1)
    with pytest.raises(PackError, match="for version 1 and this pack is version 2"):
        apply_delta(pack, delta)
    other: dict[str, Any] = {**delta, "since": 2}
    other["head"] = {**delta["head"], "event": {**delta["head"]["event"], "id": "x"}}
    with pytest.raises(PackError):
        apply_delta(pack, other)


def changed_everywhere(document: Any) -> list[Any]:
    """The document with each single value in it changed, and each member left out."""
    if isinstance(document, dict):
        return [
            *({**document, name: other} for name, value in document.items() for other in changed_everywhere(value)),
            *({other: document[other] for other in document if other != name} for name in document),
        ]
    if isinstance(document, list):
        return [[*document, "X"], document[1:]] if document else [["X"]]
    return [f"{document}0" if isinstance(document, str) else 77 if document is None else document + 1]


def test_nothing_in_a_pack_can_be_changed() -> None:
    rows = [row(code()), row(code(number=2), status="revoked"), row(code(number=3), status="blocked")]
    pack = render_pack(head(), rows)
    signature = sign(pack)
    verify_pack(orjson.loads(orjson.dumps(pack)), "s1", signature, TRUSTED)
    others = changed_everywhere(pack)
    assert len(others) > 40
    for other in others:
        with pytest.raises(PackError, match="was changed"):
            verify_pack(other, "s1", signature, TRUSTED)


def test_a_key_that_is_not_trusted_signs_no_pack() -> None:
    pack = render_pack(head(), [])
    with pytest.raises(PackError, match="not trusted"):
        verify_pack(pack, "s2", sign(pack), TRUSTED)
    with pytest.raises(PackError, match="was changed"):
        verify_pack(pack, "s1", sign(pack), {"s1": os.urandom(32)})
    with pytest.raises(PackError, match="was changed"):
        verify_pack(pack, "s1", "zz", TRUSTED)


def test_a_pack_says_which_keys_may_sign_the_next() -> None:
    assert trusted_keys(pack_of([])) == TRUSTED
    assert trusted_keys(pack_of([], compromised_at=NOW)) == {}


def test_a_document_that_is_no_pack_is_refused() -> None:
    with pytest.raises(PackError, match="no pack that this release can read"):
        read_pack({**render_pack(head(), []), "format": 2})


def test_a_digest_is_of_one_code_and_one_event() -> None:
    one = code()
    digest = digest_of(one, CHEAP)
    assert digest == digest_of(one, CHEAP)
    others = [code(number=2), code("ZZ2345"), code(digits=9), replace(one, signature="0" * 8)]
    salted = [digest_of(one, CHEAP.model_copy(update={"salt": "cd" * 16}))]
    assert digest not in [*(digest_of(other, CHEAP) for other in others), *salted]


def test_the_digest_that_the_document_gives_is_made() -> None:
    """docs/gate.md has it; the reference implementation of Argon2 in C gave the same."""
    hashes = CHEAP.model_copy(update={"memory_kib": 19456, "passes": 2, "salt": "00112233445566778899aabbccddeeff"})
    digest = digest_of(code(), hashes).hex()
    assert (str(code()), digest) == ("VM9KHU-001-7de1af42", "c6796fc9e5b8a970")
    document = (Path(__file__).parents[2] / "docs" / "gate.md").read_text()
    assert str(code()) in document
    assert digest in document


def test_the_hashes_form_has_no_key_and_the_key_form_no_digest() -> None:
    rows = [row(code()), row(code(number=2))]
    hashed, keyed = render_pack(head(), rows), render_pack(head(codes=key_form()), rows)
    assert hashed["references"] == keyed["tickets"] == {}
    assert set(hashed["tickets"]) == {"VM9KHU-001-8", "VM9KHU-002-8"}
    assert keyed["references"] == {"VM9KHU": 2}
    secret = key_form()["keys"]["m1"].encode()
    assert secret not in canonical(hashed)
    for one in rows:
        assert one.code.signature.encode() not in canonical(hashed) + canonical(keyed)
