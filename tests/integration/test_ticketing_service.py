"""Ticketing as it runs: over RabbitMQ and HTTP, and `boxoffice tickets verify` beside it."""

import asyncio
import json
import os
import sys
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest

from deploy.local.engines import Engines
from services.ticketing.service import build
from shared.contracts.base import IssuedTicket
from shared.contracts.orders import RevokeRequestedV1
from shared.contracts.ticketing import TicketsIssuedV1, TicketsRevokedV1
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Wire, running
from tests.ticket_samples import MASTER_KEYS, order_paid, ticketing_settings

ORGANISER = {"Authorization": "Bearer organiser-token-0001"}
GATE = {"Authorization": "Bearer gate-token-000000001"}


async def verify(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """The command in a process of its own that has no setting of ours in its environment but those given."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("BOXOFFICE_", "TICKETING_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "boxoffice",
        "tickets",
        *arguments,
        cwd=Path(__file__).parents[2],
        env={**bare, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_a_paid_order_gets_tickets_that_a_bare_process_can_check(
    make_database: MakeDatabase, engines: Engines, namespace: str, tmp_path: Path
) -> None:
    settings = ticketing_settings(
        make_database("ticketing"), engines.amqp_url, namespace=namespace, poll_seconds=3600.0
    )
    order = order_paid((1, 1))
    service = build(settings)
    async with Wire(engines.amqp_url, namespace) as wire, running(service), aiohttp.ClientSession() as http:
        heard = await wire.overhear(TicketsIssuedV1, TicketsRevokedV1)
        await wire.publish(order)
        issued = await asyncio.wait_for(heard.get(), PATIENCE_SECONDS)
        assert isinstance(issued, TicketsIssuedV1)
        await wire.publish(RevokeRequestedV1(order_id=order.order_id, numbers=(2,)))
        assert await asyncio.wait_for(heard.get(), PATIENCE_SECONDS) == TicketsRevokedV1(
            order_id=order.order_id, numbers=(2,)
        )
        base = f"http://127.0.0.1:{service.http_port}"
        await _tickets_are_shown_to_operators_only(http, base, order.order_id)
        async with http.get(f"{base}/v1/keys") as answer:
            keys = await answer.json()
        (tmp_path / "keys.json").write_text(json.dumps(keys))
        await _qr_verifies_with_public_keys_alone(issued.tickets[0], keys, tmp_path / "keys.json", base)
    await _code_verifies_with_its_event_key(issued.tickets[0], order.event.id)


async def _tickets_are_shown_to_operators_only(http: aiohttp.ClientSession, base: str, order_id: UUID) -> None:
    path = f"{base}/v1/admin/orders/{order_id}/tickets"
    for headers, status in ((None, 401), (GATE, 403)):
        async with http.get(path, headers=headers) as answer:
            assert answer.status == status
    async with http.get(path, headers=ORGANISER) as answer:
        shown = await answer.json()
    assert [(ticket["number"], ticket["status"]) for ticket in shown["tickets"]] == [(1, "valid"), (2, "revoked")]
    assert shown["revocations"] == [{"number": 2, "outcome": "revoked"}]
    for unknown in (str(new_id()), "no-uuid"):
        async with http.get(f"{base}/v1/admin/orders/{unknown}/tickets", headers=ORGANISER) as answer:
            assert answer.status == 404


async def _qr_verifies_with_public_keys_alone(
    ticket: IssuedTicket, keys: dict[str, str], keys_file: Path, base: str
) -> None:
    (key,) = keys.values()
    for option in (("--keys", str(keys_file)), ("--keys", f"{base}/v1/keys"), ("--public-key", key)):
        code, output, _ = await verify("verify", ticket.qr, *option, "--json")
        assert code == 0
        assert json.loads(output)["code"] == ticket.code
    code, output, _ = await verify("verify", ticket.qr, "--public-key", "00" * 32)
    assert (code, output) == (1, "not valid: the signature is not by this key\n")
    changed = ticket.qr[:50] + ("A" if ticket.qr[50] != "A" else "B") + ticket.qr[51:]
    assert (await verify("verify", changed, "--public-key", key))[0] == 1
    other_event = await verify("verify", ticket.qr, "--public-key", key, "--event", str(new_id()))
    assert other_event[:2][0] == 1
    assert "another event" in other_event[1]


async def _code_verifies_with_its_event_key(ticket: IssuedTicket, event_id: UUID) -> None:
    code, event_key, _ = await verify("event-key", str(event_id), TICKETING_MASTER_KEYS=MASTER_KEYS)
    assert code == 0
    typed = ticket.code.lower().replace("-", " ")
    assert (await verify("verify", typed, "--event-key", event_key.strip()))[0] == 0
    bare_key = event_key.strip().rpartition(":")[2]
    assert (await verify("verify", typed, "--event-key", bare_key, "--event", str(event_id)))[0] == 0
    assert (await verify("verify", typed, "--event-key", f"{new_id()}:{bare_key}"))[0] == 1
    forged = ticket.code[:-1] + ("0" if ticket.code[-1] != "0" else "1")
    assert (await verify("verify", forged, "--event-key", event_key.strip()))[0] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "VM9KHU-001-f3a2b1c0"),
        ("verify", "VM9KHU-001-f3a2b1c0", "--event-key", "nonsense"),
        ("verify", "BX1.AAAA"),
        ("verify", "BX1.AAAA", "--public-key", "abc"),
        ("verify", "BX1.AAAA", "--keys", "/does/not/exist"),
        ("verify", "BX1.AAAA", "--keys", "x", "--public-key", "00" * 32),
        ("event-key", "no-uuid"),
        ("event-key", "018f3a7e-5b1c-7d2e-8f40-112233445566"),
        ("verify",),
    ],
)
async def test_an_incomplete_command_is_told_from_a_bad_ticket(arguments: tuple[str, ...]) -> None:
    code, output, errors = await verify(*arguments)
    assert code == 2
    assert output == ""
    assert errors
