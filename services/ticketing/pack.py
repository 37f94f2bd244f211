"""A gate pack: what a device without internet needs for one event, signed. Made, opened, and brought up to date.

Pure: no database, no settings, no clock. ``docs/gate.md`` describes the format, and what a thief of a pack can do.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.ticketing.codes import Code, read_code

#: What is signed is this, then the pack's canonical octets, so that the key's signatures mean nothing elsewhere.
SIGNED_CONTEXT = b"boxoffice/gate-pack/1/"
FORMAT = 1
#: Octets of a ticket's digest. A wrong code passes one comparison with 1 in 2^64.
DIGEST_BYTES = 8
_DIGEST_CONTEXT = b"boxoffice/gate-digest/1/"

#: How typed codes are checked, by choice of the organiser.
CodeForm = Literal["hashes", "key"]
#: How a ticket stands. A blocked one may be valid again later, a revoked one never is.
EntryStatus = Literal["valid", "blocked", "revoked"]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class PackError(Exception):
    """A pack, or an update of one, that a device must not use; the text says why."""


class _Part(BaseModel):
    # A newer server may say more; what is signed are the octets that came, not what is read of them.
    model_config = ConfigDict(frozen=True, extra="ignore")


class PackEvent(_Part):
    """The event, and when its gates are open."""

    id: UUID
    title: str
    venue: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    opens_at: AwareDatetime
    closes_at: AwareDatetime


class PackKey(_Part):
    """A public key of QRs and packs, and from when on somebody else may have had its private half."""

    public_key: Hex64
    compromised_at: AwareDatetime | None = None


class Hashes(_Part):
    """Typed codes are looked up by name, and their Argon2id digest is compared. No key is in the pack."""

    form: Literal["hashes"] = "hashes"
    salt: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    memory_kib: Annotated[int, Field(ge=8, le=1024 * 1024)]
    passes: Annotated[int, Field(ge=1, le=64)]


class EventKeys(_Part):
    """Typed codes are computed again with the event's own keys. Who has them can make codes of this event."""

    form: Literal["key"] = "key"
    keys: dict[str, Hex64]


class Head(_Part):
    """All of a pack but its lists: small, and given whole with each update."""

    format: Literal[1]
    event: PackEvent
    version: Annotated[int, Field(ge=1)]
    published_at: AwareDatetime
    public_keys: dict[str, PackKey]
    codes: Annotated[Hashes | EventKeys, Field(discriminator="form")]


class Lists(_Part):
    """``tickets``: name to digest (form *hashes*). ``references``: reference to highest number issued (form *key*).

    ``revoked`` and ``blocked``: names that are refused, also as QR. A name is as in ``VM9KHU-001-8``: the code, with
    the number of its signature's digits in place of the signature.
    """

    tickets: dict[str, str]
    references: dict[str, int]
    revoked: list[str]
    blocked: list[str]


class ChangedLists(Lists):
    """What is to be added to each list; ``unblocked`` is to be taken out of ``blocked``."""

    unblocked: list[str]


class Pack(Head, Lists):
    """The whole pack."""

    @cached_property
    def refused(self) -> dict[str, Literal["revoked", "blocked"]]:
        """By name, why a ticket is refused."""
        return {**dict.fromkeys(self.blocked, "blocked"), **dict.fromkeys(self.revoked, "revoked")}


class Delta(_Part):
    """What changed since version ``since``. Applied to that pack it gives the new one, octet for octet."""

    since: int
    head: Head
    lists: ChangedLists


class SignedPack(_Part):
    """A pack, or a delta; the signature is over the whole (new) pack either way, and ``key_id`` names its key."""

    key_id: str
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
    pack: Pack | None = None
    delta: Delta | None = None


@dataclass(frozen=True, slots=True)
class PackRow:
    """One ticket as the newest pack knows it; ``version`` is the pack's in which it last changed.

    ``takes_code`` is false where the code's key was compromised when it signed: the QR may still do.
    """

    code: Code
    digest: bytes | None
    status: EntryStatus
    was_blocked: bool
    takes_code: bool
    version: int


def name_of(code: Code) -> str:
    """The ticket's name at its event. The digits belong to it: two orders may share a reference."""
    return f"{code.reference}-{code.number:03d}-{len(code.signature)}"


def digest_of(code: Code, hashes: Hashes) -> bytes:
    """The memory-hard hash of a code: Argon2id, tens of milliseconds on purpose."""
    kdf = Argon2id(
        salt=bytes.fromhex(hashes.salt),
        length=DIGEST_BYTES,
        iterations=hashes.passes,
        lanes=1,
        memory_cost=hashes.memory_kib,
    )
    # Reference and number are hashed too, so a guess is worth something for one ticket only.
    return kdf.derive(_DIGEST_CONTEXT + str(code).encode())


def canonical(document: Mapping[str, Any]) -> bytes:
    """The octets that are signed: JSON in UTF-8, keys sorted, no spaces."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def render_pack(head: Mapping[str, Any], rows: Iterable[PackRow]) -> dict[str, Any]:
    """The whole pack."""
    return {**head, **_lists(head["codes"]["form"], rows)}


def render_delta(head: Mapping[str, Any], rows: Iterable[PackRow], *, since: int) -> dict[str, Any]:
    """What changed after version ``since``, out of all rows."""
    changed = [row for row in rows if row.version > since]
    unblocked = sorted(name_of(row.code) for row in changed if row.was_blocked and row.status == "valid")
    lists = {**_lists(head["codes"]["form"], changed), "unblocked": unblocked}
    return {"since": since, "head": dict(head), "lists": lists}


def apply_delta(pack: Mapping[str, Any], delta: Mapping[str, Any]) -> dict[str, Any]:
    """The new pack. Raises PackError where the delta is for another pack than this.

    Who applies it has to verify the new pack's signature: a delta proves nothing by itself.
    """
    head, lists = delta["head"], delta["lists"]
    if delta["since"] != pack["version"] or head["event"]["id"] != pack["event"]["id"]:
        raise PackError(f"the update is for version {delta['since']} and this pack is version {pack['version']}")
    revoked = {*pack["revoked"], *lists["revoked"]}
    blocked = ({*pack["blocked"], *lists["blocked"]} - revoked).difference(lists["unblocked"])
    tickets = {**pack["tickets"], **lists["tickets"]}
    highest = {
        reference: max(number, pack["references"].get(reference, 0))
        for reference, number in lists["references"].items()
    }
    return {
        **head,
        "tickets": {name: digest for name, digest in tickets.items() if name not in revoked | blocked},
        "references": {**pack["references"], **highest},
        "revoked": sorted(revoked),
        "blocked": sorted(blocked),
    }


def verify_pack(pack: Mapping[str, Any], key_id: str, signature: str, trusted: Mapping[str, bytes]) -> None:
    """Raises PackError unless a trusted public key (id to 32 octets) signed the pack under the id it names."""
    if key_id not in trusted:
        raise PackError(f"the pack is signed with the key {key_id}, which is not trusted here")
    try:
        key = Ed25519PublicKey.from_public_bytes(trusted[key_id])
        key.verify(bytes.fromhex(signature), SIGNED_CONTEXT + canonical(pack))
    except (InvalidSignature, ValueError):
        raise PackError("the pack was changed: its signature does not fit") from None


def read_pack(document: Mapping[str, Any]) -> Pack:
    """A pack's document as its model. Raises PackError."""
    try:
        return Pack.model_validate(document)
    except ValidationError as error:
        raise PackError(f"this is no pack that this release can read: {error.errors()[0]['msg']}") from None


def trusted_keys(pack: Pack) -> dict[str, bytes]:
    """The public keys that may sign the next pack: those that nobody else has."""
    return {
        key_id: bytes.fromhex(key.public_key) for key_id, key in pack.public_keys.items() if key.compromised_at is None
    }


def encode_digest(digest: bytes) -> str:
    """Base64 without padding."""
    return base64.b64encode(digest).decode().rstrip("=")


def code_of(text: str) -> Code:
    """A code as it stands in a ticket's row. Asserts that it is one."""
    code = read_code(text)
    assert code is not None, f"{text!r} stands in a row and is no code"
    return code


def plain_time(moment: datetime) -> str:
    """A time as it stands in a pack."""
    return moment.isoformat()


def _lists(form: CodeForm, rows: Iterable[PackRow]) -> dict[str, Any]:
    tickets: dict[str, str] = {}
    references: dict[str, int] = {}
    refused: dict[EntryStatus, list[str]] = {"revoked": [], "blocked": []}
    for row in rows:
        if row.status != "valid":
            refused[row.status].append(name_of(row.code))
        elif form == "hashes" and row.digest is not None and row.takes_code:
            tickets[name_of(row.code)] = encode_digest(row.digest)
        if form == "key":
            reference = row.code.reference
            references[reference] = max(row.code.number, references.get(reference, 0))
    return {"tickets": tickets, "references": references, **{why: sorted(names) for why, names in refused.items()}}
