"""Drills with ticketing's keys: rotated while orders are served, stolen, and never seen outside."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr
from typer.testing import CliRunner

from boxoffice.commands_tickets import tickets as commands
from deploy.local.databases import Templates
from deploy.local.engines import Engines
from deploy.local.ports import choose_free_ports
from services.ticketing.codes import derive_event_key, make_code
from services.ticketing.domain import TicketRow
from services.ticketing.keyring import is_accepted
from services.ticketing.keys import parse_hex_keys
from services.ticketing.qr import make_qr, read_qr, verify_qr
from services.ticketing.service import build
from services.ticketing.settings import TicketingSettings
from services.ticketing.signing import Signer
from services.ticketing.store import list_tickets
from shared.contracts.base import IssuedTicket, SoldEvent
from shared.contracts.orders import RevokeRequestedV1
from shared.contracts.ticketing import TicketsIssuedV1, TicketsRevokedV1
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Bench, Wire, move_clock
from tests.ticket_samples import MASTER_KEYS, SIGNING_KEYS, order_paid, sold_event, ticketing_settings
from tests.waiting import until

NEW_MASTER, NEW_SEED = "44" * 32, "33" * 32
ROTATED_MASTERS = f"m2:{NEW_MASTER},{MASTER_KEYS}"
ROTATED_SIGNERS = f"s2:{NEW_SEED},{SIGNING_KEYS}"
OLD: dict[str, Any] = {"master_keys": SecretStr(MASTER_KEYS), "signing_keys": SecretStr(SIGNING_KEYS)}
ROTATED: dict[str, Any] = {"master_keys": SecretStr(ROTATED_MASTERS), "signing_keys": SecretStr(ROTATED_SIGNERS)}


class Gate:
    """`boxoffice tickets verify` with what a gate is given: public keys, and the keys of one event's codes."""

    def __init__(
        self, folder: Path, settings: TicketingSettings, event: SoldEvent, environment: Mapping[str, str]
    ) -> None:
        ring = settings.signing_ring
        keys = {
            key_id: {"public_key": key.hex(), "compromised_at": ring.compromised_at[key_id].isoformat()}
            if key_id in ring.compromised_at
            else key.hex()
            for key_id, key in Signer(settings).public_keys.items()
        }
        self._file = folder / "keys.json"
        self._file.write_text(json.dumps(keys))
        done = CliRunner().invoke(commands, ["event-key", str(event.id)], env=dict(environment))
        assert done.exit_code == 0, done.output
        self._event_key = done.stdout.strip().splitlines()[-1]

    def qr(self, text: str) -> int:
        """The exit code for a QR."""
        return CliRunner().invoke(commands, ["verify", text, "--keys", str(self._file)]).exit_code

    def code(self, text: str) -> int:
        """The exit code for a typed code."""
        return CliRunner().invoke(commands, ["verify", text, "--event-key", self._event_key]).exit_code


async def issue(bench: Bench, event: SoldEvent, serial: int) -> IssuedTicket:
    order = order_paid((1,), serial=serial, event=event)
    await bench.deliver(order)
    (told,) = [one for one in await bench.given_out(TicketsIssuedV1) if one.order_id == order.order_id]
    return told.tickets[0]


async def row_of(bench: Bench, ticket: IssuedTicket) -> TicketRow:
    """What ticketing itself knows of a ticket, as an online check looks it up."""
    order_id = await bench.value("SELECT order_id FROM tickets WHERE code = $1 AND qr = $2", ticket.code, ticket.qr)
    async with bench.service.database.acquire() as connection:
        (row,) = await list_tickets(connection, order_ids=[order_id])
    return row


async def test_what_was_issued_before_during_and_after_a_rotation_verifies(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    """During: a replica with the old keys and one with the new serve the same queue, as in a rolling restart."""
    url, event = make_database("ticketing"), sold_event()
    old, rotated = ticketing_settings(url, **OLD), ticketing_settings(url, **ROTATED)
    async with Bench(build(old)) as first:
        tickets = {"before": await issue(first, event, 0)}
        async with Bench(build(rotated)) as second:
            tickets["during, old"] = await issue(first, event, 1)
            tickets["during, new"] = await issue(second, event, 2)
    async with Bench(build(rotated)) as second:
        tickets["after"] = await issue(second, event, 3)
        signer, said = Signer(rotated), {}
        for when, ticket in tickets.items():
            row = await row_of(second, ticket)
            assert (signer.code_status(row), signer.qr_status(row)) == ("good", "good"), when
            said[when] = (row.code_key_id, row.qr_key_id)
    assert said == {
        "before": ("m1", "s1"),
        "during, old": ("m1", "s1"),
        "during, new": ("m2", "s2"),
        "after": ("m2", "s2"),
    }
    gate = Gate(tmp_path, rotated, event, {"TICKETING_MASTER_KEYS": ROTATED_MASTERS})
    for when, ticket in tickets.items():
        assert (gate.qr(ticket.qr), gate.code(ticket.code)) == (0, 0), when
    # A gate that has not fetched the new key yet takes what the old one signed, and nothing that it cannot check.
    late = Gate(tmp_path, old, event, {"TICKETING_MASTER_KEYS": MASTER_KEYS})
    assert [late.qr(ticket.qr) for ticket in tickets.values()] == [0, 0, 1, 1]
    # And when the old key is dropped, what it signed is over.
    dropped = ticketing_settings(
        url, master_keys=SecretStr(f"m2:{NEW_MASTER}"), signing_keys=SecretStr(f"s2:{NEW_SEED}")
    )
    done = Gate(tmp_path, dropped, event, {"TICKETING_MASTER_KEYS": f"m2:{NEW_MASTER}"})
    assert [done.qr(ticket.qr) for ticket in tickets.values()] == [1, 1, 0, 0]
    assert [done.code(ticket.code) for ticket in tickets.values()] == [1, 1, 0, 0]


async def test_a_stolen_key_signs_no_more_and_what_it_signed_after_its_cut_off_is_refused(
    make_database: MakeDatabase, templates: Templates, tmp_path: Path
) -> None:
    url, event = make_database("ticketing"), sold_event()
    async with Bench(build(ticketing_settings(url, **ROTATED))) as bench:
        early = await issue(bench, event, 0)
        await move_clock(templates.admin(url), 3600)
        # Stolen now; nobody has noticed, and ticketing goes on signing.
        stolen_at: datetime = await bench.value("SELECT app_now()")
        late = await issue(bench, event, 1)
    cut_off = stolen_at.isoformat()
    settings = ticketing_settings(
        url, **ROTATED, compromised_master_keys=f"m2:{cut_off}", compromised_signing_keys=f"s2:{cut_off}"
    )
    signer = Signer(settings)
    environment = {"TICKETING_MASTER_KEYS": ROTATED_MASTERS, "TICKETING_COMPROMISED_MASTER_KEYS": f"m2:{cut_off}"}
    async with Bench(build(settings)) as bench:
        new = await issue(bench, event, 2)
        rows = [await row_of(bench, ticket) for ticket in (early, late, new)]
    assert [row.qr_key_id for row in rows] == ["s2", "s2", "s1"]
    online = [(signer.code_status(row), signer.qr_status(row)) for row in rows]
    assert online == [("doubtful", "doubtful"), ("cut_off", "cut_off"), ("good", "good")]
    assert [all(map(is_accepted, statuses)) for statuses in online] == [True, False, True]
    gate = Gate(tmp_path, settings, event, environment)
    assert [gate.qr(ticket.qr) for ticket in (early, late, new)] == [4, 1, 0]
    assert [gate.code(ticket.code) for ticket in (early, late, new)] == [1, 1, 0]
    forged = forge(early, event, issued_at=None), forge(early, event, issued_at=stolen_at)
    assert [verify_qr(text, signer.public_keys) is not None for text in forged] == [True, True]
    # The thief writes an early time: a gate with public keys alone cannot tell, and says so instead of "valid".
    assert [gate.qr(text) for text in forged] == [4, 1]


def forge(like: IssuedTicket, event: SoldEvent, *, issued_at: datetime | None) -> str:
    """What a thief of both new keys makes: a ticket of an order that never was."""
    said = read_qr(like.qr)
    assert said is not None
    key = derive_event_key(bytes.fromhex(NEW_MASTER), event.id)
    code = make_code(key, event.id, "ZZZZZZ", 1, digits=8)
    values: dict[str, Any] = {"code": code} if issued_at is None else {"code": code, "issued_at": issued_at}
    return make_qr(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(NEW_SEED)), replace(said, **values))


def secrets_of(event_id: UUID) -> list[bytes]:
    """Every form in which a key, or what a key is derived from, might be written somewhere."""
    masters = [*parse_hex_keys(ROTATED_MASTERS).values()]
    raw = [*masters, *parse_hex_keys(ROTATED_SIGNERS).values(), *(derive_event_key(one, event_id) for one in masters)]
    forms = [
        form
        for key in raw
        for form in (
            key,
            key.hex().encode(),
            key.hex().upper().encode(),
            base64.b64encode(key)[:-2],
            repr(key).encode(),
        )
    ]
    # Octets are written as hex digits in a dump.
    return [*forms, *(form.hex().encode() for form in forms)]


async def dump_of(database_url: str) -> bytes:
    """Every row of every table, with the broker's messages in the outbox, as text."""
    connection = await asyncpg.connect(database_url)
    try:
        names = [
            row["name"]
            for row in await connection.fetch(
                "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
                "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
        ]
        assert {"public.tickets", "public.outbox", "public.orders"} <= set(names)
        rows = [
            row["line"] for name in names for row in await connection.fetch(f"SELECT t::text AS line FROM {name} t")
        ]
    finally:
        await connection.close()
    return "\n".join(rows).encode()


async def test_no_key_is_in_a_log_line_or_in_the_database(
    make_database: MakeDatabase, templates: Templates, engines: Engines, namespace: str, tmp_path: Path
) -> None:
    """A process with debug logs that issues, revokes, fails; then every log line and every table."""
    url = make_database("ticketing")
    keys_file = tmp_path / "masters"
    keys_file.write_text(ROTATED_MASTERS.replace(",", "\n"))
    keys_file.chmod(0o600)
    (port,) = choose_free_ports(1)
    environment = {
        "TICKETING_DATABASE_URL": url,
        "TICKETING_AMQP_URL": engines.amqp_url,
        "TICKETING_NAMESPACE": namespace,
        "TICKETING_HTTP_PORT": str(port),
        "TICKETING_MASTER_KEYS_FILE": str(keys_file),
        "TICKETING_SIGNING_KEYS": ROTATED_SIGNERS,
        "TICKETING_ADMIN_TOKENS": "operator:operator-token-00001",
        "TICKETING_LOG_LEVEL": "debug",
    }
    order = order_paid((2,))
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-X", "dev", "-m", "services.ticketing",
            cwd=Path(__file__).parents[2], env={**os.environ, **environment}, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        async with Wire(engines.amqp_url, namespace) as wire, aiohttp.ClientSession() as http:
            heard = await wire.overhear(TicketsIssuedV1, TicketsRevokedV1)
            await wire.publish(order)
            assert isinstance(await asyncio.wait_for(heard.get(), PATIENCE_SECONDS), TicketsIssuedV1)
            await wire.publish(RevokeRequestedV1(order_id=order.order_id, numbers=(1,)))
            assert isinstance(await asyncio.wait_for(heard.get(), PATIENCE_SECONDS), TicketsRevokedV1)
            # Its tickets fit into no message, so that handling fails with the whole order at hand.
            await wire.publish(order_paid((1000,) * 6, serial=1, event=order.event))
            await until(lambda: b"exceeds" in log.read_bytes(), PATIENCE_SECONDS, "a failure is logged")
            path = f"http://127.0.0.1:{port}/v1/admin/orders/{order.order_id}/tickets"
            bearer = {"Authorization": "Bearer operator-token-00001"}
            for headers, suffix in ((bearer, ""), (None, ""), (bearer, "/2/reissue")):
                async with http.request("POST" if suffix else "GET", path + suffix, headers=headers) as answer:
                    await answer.read()
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
    logged, dumped = log.read_bytes(), await dump_of(templates.admin(url))
    # Both really hold what happened, or there would be nothing in them to find.
    assert b'"drained"' in logged
    assert order.reference.encode() in dumped
    assert dumped.count(b"BX1.") >= 2
    for secret in secrets_of(order.event.id):
        assert secret not in logged
        assert secret not in dumped
