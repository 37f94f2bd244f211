"""`boxoffice gate`: a gate device on the command line. Only `pack` and `sync` need the network."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from boxoffice import pack_file
from boxoffice.exits import DONE, FAILED, USAGE, CommandError
from boxoffice.target import Operator, Target, new_session, said
from services.ticketing.device import Verdict
from services.ticketing.gate_models import MOST_SYNCED
from services.ticketing.journal import Journal, JournalAdmission, JournalError
from services.ticketing.pack import Pack, PackError
from shared.runtime.ids import new_id

gate = typer.Typer(
    help="A gate device by hand: fetch a pack, let guests in without internet, sync.", no_args_is_help=True
)

PackFile = Annotated[Path, typer.Option("--pack", help="The pack, as `gate pack` wrote it.")]
JournalFile = Annotated[Path, typer.Option("--journal", help="What this device wrote down; made if it is not there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(gate, name="gate")


@gate.command("pack")
def fetch_pack(
    event: Annotated[UUID, typer.Argument(help="The event's id.")],
    out: Annotated[Path, typer.Option(help="The file. One that is there already is brought up to date.")],
    as_json: AsJson = False,
) -> None:
    """Fetch an event's pack, or what changed since the one in the file.

    The first time ticketing's own list of public keys is trusted; from then on the keys in the pack that is there.
    """
    try:
        document = _fetch(event, out)
        pack = pack_file.open_signed(document)
        pack_file.save(out, document)
    except PackError as error:
        raise CommandError(f"the pack cannot be used: {error}") from None
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from None
    if as_json:
        counts = {"tickets": len(pack.tickets), "orders": len(pack.references), "refused": len(pack.refused)}
        print(json.dumps({"file": str(out), "event_id": str(pack.event.id), "version": pack.version, **counts}))
        return
    listed = f"{len(pack.tickets)} tickets" if pack.codes.form == "hashes" else f"{len(pack.references)} orders"
    print(f"{out}: version {pack.version}, {pack.event.title}, {listed}, {len(pack.refused)} refused")


@gate.command()
def admit(
    ticket: Annotated[str, typer.Argument(help="A typed code, or the text of a QR.", metavar="CODE-OR-QR")],
    pack: PackFile,
    journal: JournalFile,
    at_gate: Annotated[str, typer.Option("--gate", help="This gate's name.")],
    who: Annotated[str, typer.Option(help="Who works the device.")],
    as_json: AsJson = False,
) -> None:
    """Let a guest in without internet. Exit code 0: let in, and written down; 1: refused."""
    try:
        _, opened = pack_file.load(pack)
        with Journal(journal) as book:
            verdict = book.admit(opened, ticket, gate=at_gate, who=who, now=datetime.now(UTC), new_id=new_id)
    except (PackError, JournalError, OSError) as error:
        raise CommandError(str(error), USAGE) from None
    print(json.dumps(described(verdict, opened)) if as_json else in_words(verdict))
    raise typer.Exit(DONE if verdict.lets_in else FAILED)


@gate.command()
def sync(journal: JournalFile, as_json: AsJson = False) -> None:
    """Tell ticketing whom this device let in, and hear which of them were in conflict. As often as you like."""
    try:
        with Journal(journal) as book:
            results = asyncio.run(_sync(book))
    except (JournalError, OSError) as error:
        raise CommandError(str(error), USAGE) from None
    if as_json:
        print(json.dumps(results))
        return
    print(f"{len(results)} admissions synced")
    for one in (one for one in results if one["outcome"] != "counts"):
        counting = one["counting"]
        first = f"; {counting['gate']} at {counting['admitted_at']} counts" if counting else ""
        print(f"  {one['code']}: {one['kind'] or one['outcome']}{first}")


def described(verdict: Verdict, pack: Pack) -> dict[str, Any]:
    """A verdict for programs."""
    first = verdict.first
    return {
        "outcome": verdict.outcome,
        "valid": verdict.lets_in,
        "code": str(verdict.code) if verdict.code is not None else None,
        "event_id": str(pack.event.id),
        "pack_version": pack.version,
        "is_newer_than_pack": verdict.is_newer,
        "first": {"gate": first.gate, "admitted_at": first.admitted_at.isoformat()} if first else None,
    }


def in_words(verdict: Verdict) -> str:
    """A verdict for people."""
    if verdict.lets_in:
        return f"let in: {verdict.code}{' (newer than the pack)' if verdict.is_newer else ''}"
    first = f", at {verdict.first.gate}, {verdict.first.admitted_at.isoformat()}" if verdict.first else ""
    return f"refused: {verdict.outcome.replace('_', ' ')}{first}"


def _fetch(event: UUID, out: Path) -> Mapping[str, Any]:
    if not out.exists():
        return asyncio.run(_fetch_first(event))
    old, pack = pack_file.load(out)
    if pack.event.id != event:
        raise PackError(f"{out} is of another event, {pack.event.id}")
    return asyncio.run(_fetch_update(old, pack))


async def _fetch_first(event: UUID) -> Mapping[str, Any]:
    async with new_session() as session:
        device = Operator(Target.find(), session)
        keys = said(await device.ask("GET", "ticketing", "/v1/keys", role="gate"))
        document: dict[str, Any] = said(await device.ask("GET", "ticketing", _path(event), role="gate"))
    # A key with a cut-off is an object: it may not sign a pack any more.
    trusted = {name: bytes.fromhex(key) for name, key in keys.items() if isinstance(key, str)}
    pack_file.open_signed(document, trusted)
    return document


async def _fetch_update(old: Mapping[str, Any], pack: Pack) -> Mapping[str, Any]:
    path, since = _path(pack.event.id), {"since": str(pack.version)}
    async with new_session() as session:
        device = Operator(Target.find(), session)
        try:
            return pack_file.updated(old, said(await device.ask("GET", "ticketing", path, role="gate", query=since)))
        except PackError:
            # What is here is not what ticketing thinks; the whole pack mends that, if it is by a trusted key.
            return pack_file.updated(old, said(await device.ask("GET", "ticketing", path, role="gate")))


def _path(event: UUID) -> str:
    return f"/v1/gate/events/{event}/pack"


async def _sync(book: Journal) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    async with new_session() as session:
        device = Operator(Target.find(), session)
        while waiting := book.waiting()[:MOST_SYNCED]:
            sent = {"admissions": [_as_sent(one) for one in waiting]}
            answer = said(await device.ask("POST", "ticketing", "/v1/gate/sync", role="gate", json=sent))
            codes = {str(one.admission_id): one.code for one in waiting}
            results += [{**one, "code": codes[one["admission_id"]]} for one in answer["admissions"]]
            book.mark_synced([one.admission_id for one in waiting])
    return results


def _as_sent(one: JournalAdmission) -> dict[str, str]:
    return {
        "admission_id": str(one.admission_id),
        "event_id": str(one.event_id),
        "code": one.code,
        "gate": one.gate,
        "who": one.who,
        "admitted_at": one.admitted_at.isoformat(),
    }
