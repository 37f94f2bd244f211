"""`boxoffice tickets`: check a ticket anywhere, with no database, no network and no settings of a service."""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from boxoffice import pack_file
from boxoffice.exits import DONE, DOUBTFUL, FAILED, USAGE
from services.ticketing.codes import LEAST_DIGITS, derive_event_key, read_code, verify_code
from services.ticketing.device import check_ticket
from services.ticketing.keyring import KeyRing, KeyStatus, parse_cut_offs
from services.ticketing.keys import parse_hex_keys, read_keys_file
from services.ticketing.pack import PackError
from services.ticketing.qr import PREFIX, QrTicket, read_qr, verify_qr, verify_qr_with

KEYS_TIMEOUT_SECONDS = 10.0
#: A list of public keys is far smaller.
MOST_KEYS_BYTES = 64 * 1024

_DOUBT = "its key was compromised since, and a thief writes an earlier time: ask ticketing, or look into a gate pack"

tickets = typer.Typer(help="Check tickets without a database or a network.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(tickets, name="tickets")


@dataclass(frozen=True)
class Verdict:
    """What is said of a ticket: why it is not valid, or what it says."""

    why: str | None
    facts: Mapping[str, object]
    #: The signature is right, but the key is in other hands: only who knows what was issued can tell.
    is_doubtful: bool = False

    @property
    def exit_code(self) -> int:
        """What a script reads."""
        if self.is_doubtful:
            return DOUBTFUL
        return DONE if self.why is None else FAILED


@dataclass(frozen=True)
class PublicKeys:
    """Public keys by id, and since when some are compromised."""

    keys: Mapping[str, bytes]
    ring: KeyRing

    @property
    def trusted(self) -> dict[str, bytes]:
        """Those that nobody else has."""
        return {key_id: key for key_id, key in self.keys.items() if key_id not in self.ring.compromised_at}


class Usage(Exception):
    """The command cannot be done as it was given; the text says what is missing."""


@tickets.command()
def verify(
    ticket: Annotated[str, typer.Argument(help="A typed code, or the text of a QR.", metavar="CODE-OR-QR")],
    public_key: Annotated[str | None, typer.Option(help="For a QR: the public key, 64 hex digits.")] = None,
    keys: Annotated[str | None, typer.Option(help="For a QR: a file or URL (/v1/keys of ticketing).")] = None,
    event_key: Annotated[
        str | None, typer.Option(help="For a code: EVENT_ID:KEY as `tickets event-key` prints it; several with commas.")
    ] = None,
    pack: Annotated[
        Path | None, typer.Option(help="A gate pack, as `gate pack` wrote it: checks both, and what was revoked.")
    ] = None,
    event: Annotated[str | None, typer.Option(help="The event at this gate; a QR for another is refused.")] = None,
    least_digits: Annotated[
        int, typer.Option(help="Refuse codes with a shorter signature.", min=LEAST_DIGITS)
    ] = LEAST_DIGITS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a ticket. Exit code 0: genuine and in time; 1: not; 2: the command is incomplete; 4: signed
    with a key that was stolen since, so that only ticketing knows whether we did it.

    It says that a ticket was issued by us, not that it was never shown before: that needs ticketing itself, or the
    gate's journal (`gate admit`). What was revoked is only in a pack.
    """
    text = ticket.strip()
    try:
        event_id = _read_event(event) if event is not None else None
        if pack is not None:
            verdict = _verify_with_pack(text, pack, public_key, keys, event_key, event_id)
        elif text.startswith(PREFIX):
            verdict = _verify_qr(text, public_key, keys, event_id)
        else:
            verdict = _verify_code(text, event_key, event_id, least_digits)
    except Usage as error:
        sys.stderr.write(f"boxoffice tickets verify: {error}\n")
        raise typer.Exit(USAGE) from None
    _show(verdict, as_json=as_json)
    raise typer.Exit(verdict.exit_code)


@tickets.command("event-key")
def print_event_key(
    event_id: Annotated[str, typer.Argument(help="The event's id.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the key that checks the typed codes of one event.

    From TICKETING_MASTER_KEYS or TICKETING_MASTER_KEYS_FILE. Whoever has it can forge codes of this event, and of no
    other. A key of TICKETING_COMPROMISED_MASTER_KEYS is left out: a typed code has no time, so nothing could tell its
    codes from a thief's.
    """
    try:
        event = _read_event(event_id)
        masters, cut_offs = _read_masters()
    except Usage as error:
        sys.stderr.write(f"boxoffice tickets event-key: {error}\n")
        raise typer.Exit(USAGE) from None
    for key_id in cut_offs:
        sys.stderr.write(
            f"left out: the master key {key_id} is compromised; what it signed is checked by ticketing only\n"
        )
    keys = [derive_event_key(master, event).hex() for key_id, master in masters.items() if key_id not in cut_offs]
    if as_json:
        print(json.dumps({"event_id": str(event), "keys": keys, "left_out": list(cut_offs)}))
    else:
        print(",".join(f"{event}:{key}" for key in keys))


def _read_masters() -> tuple[dict[str, bytes], Mapping[str, datetime]]:
    """The master keys and their cut-offs, by the same settings as ticketing reads."""
    listed, file = os.environ.get("TICKETING_MASTER_KEYS", ""), os.environ.get("TICKETING_MASTER_KEYS_FILE")
    if listed and file:
        raise Usage("TICKETING_MASTER_KEYS and TICKETING_MASTER_KEYS_FILE are both set")
    try:
        masters = parse_hex_keys(read_keys_file(Path(file)) if file else listed)
    except ValueError as error:
        raise Usage(f"TICKETING_MASTER_KEYS{'_FILE' if file else ''} {error}") from None
    compromised = os.environ.get("TICKETING_COMPROMISED_MASTER_KEYS")
    try:
        return masters, parse_cut_offs(compromised) if compromised else {}
    except ValueError as error:
        raise Usage(f"TICKETING_COMPROMISED_MASTER_KEYS {error}") from None


def _verify_with_pack(
    text: str, path: Path, public_key: str | None, keys: str | None, event_key: str | None, event_id: UUID | None
) -> Verdict:
    """``public_key`` or ``keys``, if given, have to be who signed the pack."""
    if event_key is not None:
        raise Usage("a pack has what checks its event's codes; leave --event-key out")
    try:
        document, pack = pack_file.load(path, _load_keys(keys).trusted if keys is not None else None)
        if public_key is not None:
            pack_file.open_signed(document, {str(document.get("key_id")): _read_key(public_key)})
    except PackError as error:
        raise Usage(str(error)) from None
    if event_id is not None and event_id != pack.event.id:
        raise Usage(f"the pack is of the event {pack.event.id}")
    verdict = check_ticket(pack, text, now=datetime.now(UTC), admitted={})
    facts = {"code": str(verdict.code)} if verdict.code is not None else {}
    newer = {"newer_than_pack": True} if verdict.is_newer else {}
    return Verdict(
        None if verdict.lets_in else verdict.outcome.replace("_", " "),
        {"event_id": str(pack.event.id), **facts, "pack_version": pack.version, **newer},
    )


def _verify_qr(text: str, public_key: str | None, keys: str | None, event_id: UUID | None) -> Verdict:
    if (public_key is None) == (keys is None):
        raise Usage("a QR is checked with --public-key HEX or with --keys FILE-OR-URL")
    claimed = read_qr(text)
    status: KeyStatus = "good"
    if public_key is not None:
        genuine = verify_qr_with(text, _read_key(public_key))
    else:
        loaded = _load_keys(str(keys))
        genuine = verify_qr(text, loaded.keys)
        status = loaded.ring.status(genuine.key_id, genuine.issued_at) if genuine is not None else status
    if genuine is None:
        return Verdict("this is not a ticket's QR" if claimed is None else "the signature is not by this key", {})
    if status == "cut_off":
        return Verdict("it was signed when its key was compromised already", _facts_of(genuine))
    why = _why_not_now(genuine, event_id)
    if why is None and status == "doubtful":
        return Verdict(_DOUBT, _facts_of(genuine), is_doubtful=True)
    return Verdict(why, _facts_of(genuine))


def _why_not_now(ticket: QrTicket, event_id: UUID | None) -> str | None:
    if event_id is not None and ticket.event_id != event_id:
        return "the ticket is for another event"
    if datetime.now(UTC) > ticket.valid_until:
        return "the ticket's time is over"
    return None


def _facts_of(ticket: QrTicket) -> dict[str, object]:
    return {
        "event_id": str(ticket.event_id),
        "code": str(ticket.code),
        "tier_id": str(ticket.tier_id),
        "key_id": ticket.key_id,
        "issued_at": ticket.issued_at.isoformat(),
        "valid_until": ticket.valid_until.isoformat(),
    }


def _verify_code(text: str, event_key: str | None, event_id: UUID | None, least_digits: int) -> Verdict:
    if event_key is None:
        raise Usage("a typed code is checked with --event-key EVENT_ID:KEY (`boxoffice tickets event-key` prints it)")
    keys = _read_event_keys(event_key, event_id)
    code = read_code(text)
    if code is None:
        return Verdict("this is no ticket code", {})
    for event, key in keys:
        if verify_code(code, [key], event, least_digits=least_digits):
            return Verdict(None, {"event_id": str(event), "code": str(code)})
    return Verdict("the code was not signed with this event's key", {})


def _read_event_keys(text: str, event_id: UUID | None) -> list[tuple[UUID, bytes]]:
    keys = []
    for part in text.split(","):
        event, separator, key = part.strip().rpartition(":")
        if not separator and event_id is None:
            raise Usage("--event-key is EVENT_ID:KEY, or the key alone with --event EVENT_ID")
        of_event = _read_event(event) if separator else event_id
        assert of_event is not None
        if event_id is not None and of_event != event_id:
            raise Usage("--event names another event than --event-key")
        keys.append((of_event, _read_key(key)))
    return keys


def _read_event(text: str) -> UUID:
    try:
        return UUID(text.strip())
    except ValueError:
        raise Usage(f"{text!r} is no event id (a UUID)") from None


def _read_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        raise Usage("a key has 64 hex digits") from None
    if len(key) != 32:
        raise Usage("a key has 64 hex digits")
    return key


def _load_keys(place: str) -> PublicKeys:
    try:
        document = json.loads(_fetch(place) if place.startswith(("http://", "https://")) else Path(place).read_bytes())
    except (OSError, ValueError) as error:
        raise Usage(f"no keys from {place}: {error}") from error
    if not isinstance(document, dict):
        raise Usage(f"{place} holds no keys: it must be a JSON object of key id to hex")
    keys: dict[str, bytes] = {}
    cut_offs: list[str] = []
    for key_id, key in document.items():
        keys[key_id] = _read_key(str(key["public_key"] if isinstance(key, dict) and "public_key" in key else key))
        if isinstance(key, dict):
            cut_offs.append(f"{key_id}:{key.get('compromised_at')}")
    try:
        return PublicKeys(keys, KeyRing(tuple(keys), parse_cut_offs(",".join(cut_offs)) if cut_offs else {}))
    except ValueError as error:
        raise Usage(f"{place} is wrong: a compromised_at {error}") from error


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=KEYS_TIMEOUT_SECONDS) as response:  # noqa: S310 - http(s) was checked
        body: bytes = response.read(MOST_KEYS_BYTES)
    return body


def _show(verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        print(
            json.dumps(
                {"valid": verdict.why is None, "doubtful": verdict.is_doubtful, "why": verdict.why, **verdict.facts}
            )
        )
        return
    if verdict.is_doubtful:
        print(f"doubtful: {verdict.why}")
    else:
        print("valid" if verdict.why is None else f"not valid: {verdict.why}")
    for name, value in verdict.facts.items():
        print(f"  {name}: {value}")
