"""`boxoffice gate` and `boxoffice tickets verify --pack`: a device by hand, against ticketing as it runs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import orjson
import pytest
from typer.testing import CliRunner

from boxoffice.cli import app, register_commands
from boxoffice.exits import UNREACHABLE, CommandError
from deploy.local.engines import Engines
from services.ticketing.service import build
from shared.contracts.base import IssuedTicket
from shared.contracts.orders import RevokeRequestedV1
from shared.contracts.ticketing import TicketsIssuedV1
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.gate_support import EVENT_ID, SIGNING_KEY, code, gate_settings, head, open_event, sign
from tests.harness import PATIENCE_SECONDS, Wire, running
from tests.integration.test_ticketing_service import verify
from tests.ticket_samples import order_paid
from tests.waiting import until

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command() -> Command:
    """Runs a command in this process; its exit code, and what it printed or said went wrong."""
    if not app.registered_groups:
        register_commands()

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments))
        if isinstance(result.exception, CommandError):
            return result.exception.code, str(result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return run


@asynccontextmanager
async def sold(
    engines: Engines, namespace: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Wire, UUID, UUID, tuple[IssuedTicket, ...]]]:
    """Ticketing runs, with one order of four tickets; commands are told where."""
    settings = gate_settings(url, engines.amqp_url, namespace=namespace, gate_publish_seconds=0.1)
    order = order_paid((4,), event=open_event())
    service = build(settings)
    async with Wire(engines.amqp_url, namespace) as wire, running(service):
        heard = await wire.overhear(TicketsIssuedV1)
        await wire.publish(order)
        issued = await asyncio.wait_for(heard.get(), PATIENCE_SECONDS)
        assert isinstance(issued, TicketsIssuedV1)
        monkeypatch.setenv("BOXOFFICE_TICKETING_URL", f"http://127.0.0.1:{service.http_port}")
        monkeypatch.setenv("BOXOFFICE_GATE_TOKEN", "gate-token-000000001")
        yield wire, order.order_id, order.event.id, issued.tickets


async def test_a_device_by_hand(
    command: Command,
    make_database: MakeDatabase,
    engines: Engines,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BOXOFFICE_STATE_DIR", str(tmp_path / "nothing-runs-here"))
    pack = tmp_path / "gate.pack"

    async def run(*arguments: str) -> tuple[int, str]:
        return await asyncio.to_thread(command, *arguments)

    async with sold(engines, namespace, make_database("ticketing"), monkeypatch) as (wire, order_id, event_id, tickets):

        async def has(listed: int, refused: int) -> bool:
            status, text = await run("gate", "pack", str(event_id), "--out", str(pack))
            return status == 0 and f"{listed} tickets, {refused} refused" in text

        await until(lambda: has(4, 0), PATIENCE_SECONDS, "the pack has all tickets")
        assert (await run("tickets", "verify", tickets[0].code[:-1] + "x", "--pack", str(pack)))[0] == 1
        await _verified_without_anything(pack, tickets)
        await wire.publish(RevokeRequestedV1(order_id=order_id, numbers=(4,)))
        await until(lambda: has(3, 1), PATIENCE_SECONDS, "the file was brought up to date")
        assert (await run("tickets", "verify", tickets[3].qr, "--pack", str(pack)))[0] == 1
        refused = await run("gate", "pack", str(new_id()), "--out", str(pack))
        assert refused[0] == 1
        assert "another event" in refused[1]

        async def admit(text: str, gate: str) -> tuple[int, str]:
            journal = str(tmp_path / f"{gate}.journal")
            device = ("--pack", str(pack), "--journal", journal, "--gate", gate, "--who", "ada")
            return await run("gate", "admit", text, *device)

        assert await admit(tickets[0].code, "north") == (0, f"let in: {tickets[0].code}\n")
        status, text = await admit(tickets[0].qr, "north")
        assert status == 1
        assert text.startswith("refused: already admitted, at north, ")
        assert (await admit(tickets[0].qr, "south"))[0] == 0, "it cannot know"
        assert (await admit("ZZ2345-001-00000000", "south")) == (1, "refused: unknown ticket\n")
        assert await run("gate", "sync", "--journal", str(tmp_path / "north.journal")) == (0, "1 admissions synced\n")
        status, text = await run("gate", "sync", "--journal", str(tmp_path / "south.journal"))
        assert status == 0
        assert f"{tickets[0].code}: admitted_twice; north at " in text
        again = await run("gate", "sync", "--journal", str(tmp_path / "south.journal"), "--json")
        assert again == (0, "[]\n")


async def _verified_without_anything(pack: Path, tickets: tuple[IssuedTicket, ...]) -> None:
    """In a process of its own, without any setting of ours, and without a network to ask."""
    status, output, _ = await verify("verify", tickets[0].code.lower(), "--pack", str(pack), "--json")
    assert (status, json.loads(output)["code"]) == (0, tickets[0].code)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack in a file."""
    document = {**head(), "tickets": {}, "references": {}, "revoked": [], "blocked": []}
    document["tickets"] = {"VM9KHU-001-8": "AAAAAAAAAAA"}
    path = tmp_path / "pack"
    path.write_bytes(orjson.dumps({"pack": document, "key_id": "s1", "signature": sign(document)}))
    return path


def test_a_pack_that_cannot_be_used_is_told_from_a_bad_ticket(command: Command, pack: Path, tmp_path: Path) -> None:
    text = str(code())
    key = SIGNING_KEY.public_key().public_bytes_raw().hex()
    assert command("tickets", "verify", text, "--pack", str(pack))[0] == 1
    assert command("tickets", "verify", text, "--pack", str(pack), "--public-key", key)[0] == 1
    changed = tmp_path / "changed"
    changed.write_bytes(pack.read_bytes().replace(b"VM9KHU-001-8", b"VM9KHU-002-8"))
    for arguments in (
        ("--pack", str(changed)),
        ("--pack", str(tmp_path / "none")),
        ("--pack", str(pack), "--public-key", "00" * 32),
        ("--pack", str(pack), "--event", str(new_id())),
        ("--pack", str(pack), "--event-key", f"{EVENT_ID}:{'00' * 32}"),
    ):
        assert command("tickets", "verify", text, *arguments)[0] == 2, arguments
    (tmp_path / "junk").write_text("[]")
    device = ("--journal", str(tmp_path / "journal"), "--gate", "north", "--who", "ada")
    for broken in (changed, tmp_path / "junk"):
        assert command("gate", "admit", text, "--pack", str(broken), *device)[0] == 2
    assert command("gate", "admit", text, "--pack", str(pack), *device)[0] == 1


def test_nobody_to_talk_to_is_told(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXOFFICE_STATE_DIR", str(tmp_path / "nothing"))
    monkeypatch.delenv("BOXOFFICE_TICKETING_URL", raising=False)
    status, text = command("gate", "pack", str(EVENT_ID), "--out", str(tmp_path / "pack"))
    assert status == UNREACHABLE
    assert "BOXOFFICE_TICKETING_URL" in text
