"""Gate packs on real PostgreSQL and over HTTP: every ticket gets in, no revocation is forgotten, updates fit."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import aiohttp
import orjson
import pytest
from pydantic import SecretStr

from deploy.local.engines import Engines
from services.ticketing import gate_store
from services.ticketing.device import check_ticket
from services.ticketing.pack import CodeForm, apply_delta, canonical, read_pack, verify_pack
from services.ticketing.packing import HASH_LIMIT
from services.ticketing.service import build
from shared.contracts.base import IssuedTicket
from shared.contracts.orders import RevokeRequestedV1
from shared.contracts.ticketing import TicketsIssuedV1
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.gate_support import PUBLIC_KEY, Gates, gate_settings, offline, open_event, showing
from tests.harness import PATIENCE_SECONDS, Wire, running
from tests.ticket_samples import MASTER_KEYS, SIGNING_KEYS, order_paid
from tests.waiting import until


@pytest.fixture
async def gates(make_database: MakeDatabase) -> AsyncIterator[Gates]:
    async with Gates(gate_settings(make_database("ticketing"))) as opened:
        yield opened


async def choose(gates: Gates, event_id: UUID, form: CodeForm | None, opens_at: datetime | None = None) -> None:
    async with gates.service.database.acquire() as connection:
        await gate_store.upsert_gate_settings(
            connection,
            event_id=event_id,
            form=form,
            opens_at=opens_at,
            is_opening_given=opens_at is not None,
            memory_kib=8,
            passes=1,
        )


async def revoke(gates: Gates, ticket: IssuedTicket) -> None:
    (row,) = await gates.fetch("SELECT order_id, number FROM tickets WHERE code = $1", ticket.code)
    await gates.deliver(RevokeRequestedV1(order_id=row["order_id"], numbers=(row["number"],)))


async def outcome_of(gates: Gates, event_id: UUID, text: str) -> str:
    return check_ticket(await gates.pack(event_id), text, now=datetime.now(UTC), admitted={}).outcome


async def test_an_issued_ticket_is_let_in_by_a_device_with_the_pack(gates: Gates) -> None:
    event, tickets = await gates.sell((2, 1))
    await gates.publish()
    pack = await gates.pack(event.id)
    assert (len(pack.tickets), pack.event.title) == (3, event.title)
    assert {await outcome_of(gates, event.id, text) for one in tickets for text in (one.code, one.qr)} == {"valid"}
    await gates.publish()
    assert (await gates.pack(event.id)).version == pack.version, "nothing changed, so there is no new version"


async def test_updates_lead_through_everything_that_happens_to_the_whole_pack(gates: Gates) -> None:
    event, (first, second, third) = await gates.sell((3,))
    await gates.publish()
    device = stale = (await gates.fetch_pack(event.id))["pack"]

    async def sold() -> None:
        await gates.sell((1,), serial=1, event=event)

    async def revoked() -> None:
        await revoke(gates, first)

    async def blocked() -> None:
        await gates.fetch("UPDATE orders SET blocked_at = app_now() WHERE reference = $1", second.code[:6])

    async def unblocked() -> None:
        await gates.fetch("UPDATE orders SET blocked_at = NULL")

    async def opened_earlier() -> None:
        await choose(gates, event.id, None, datetime.now(UTC) - timedelta(days=2))

    told = []
    for step in (sold, revoked, blocked, unblocked, opened_earlier):
        number = device["version"] + 1
        await step()
        await gates.publish()
        device = await gates.update(device, event.id)
        assert device["version"] == number, step
        assert canonical(device) == canonical((await gates.fetch_pack(event.id))["pack"])
        # A device that missed everything since needs one update too.
        assert canonical(await gates.update(stale, event.id)) == canonical(device)
        pack = read_pack(device)
        told.append([check_ticket(pack, one.qr, now=datetime.now(UTC), admitted={}).outcome for one in (first, third)])
    assert told == [["valid", "valid"], ["revoked", "valid"], ["revoked", "blocked"], *[["revoked", "valid"]] * 2]
    nothing_new = await gates.fetch_pack(event.id, device["version"])
    assert canonical(apply_delta(device, nothing_new["delta"])) == canonical(device)
    for unknown in (0, device["version"] + 1, 999):
        assert "pack" in await gates.fetch_pack(event.id, unknown)


@pytest.mark.parametrize("form", ["hashes", "key"])
async def test_a_ticket_that_is_issued_again_lets_its_new_holder_in_and_not_the_old(
    gates: Gates, form: CodeForm
) -> None:
    event = open_event()
    await choose(gates, event.id, form)
    _, (old, other) = await gates.sell((2,), event=event)
    await gates.publish()
    before = await gates.pack(event.id)
    new = await gates.reissue(old)
    assert isinstance(new, IssuedTicket)
    now = datetime.now(UTC)
    stale = [check_ticket(before, text, now=now, admitted={}) for text in (new.qr, new.code, old.qr)]
    code_outcome = "valid" if form == "key" else "unknown_ticket"
    assert [one.outcome for one in stale] == ["valid", code_outcome, "valid"], "by a pack from before"
    await gates.publish()
    told = [await outcome_of(gates, event.id, text) for text in (new.qr, new.code, old.qr, old.code, other.code)]
    assert told == ["valid", "valid", "revoked", "revoked", "valid"]
    assert (await gates.refused(showing(old.qr, event.id))).outcome == "revoked"
    await gates.admitted(showing(new.code, event.id))
    (result,) = await gates.checkins.sync([offline(old.code, event.id)])
    assert result.kind == "revoked", "the old holder, let in by the pack from before, is reported"


async def test_a_replica_that_renders_from_scratch_gives_the_same_octets(gates: Gates) -> None:
    event, tickets = await gates.sell((3,))
    await gates.publish()
    await gates.packs.get(event.id, None, known_tag=None)
    await revoke(gates, tickets[1])
    await gates.publish()
    kept = await gates.packs.get(event.id, None, known_tag=None)
    fresh = await type(gates.packs)(gates.service.database, gates.packs._signer).get(event.id, None, known_tag=None)
    assert kept == fresh


async def test_a_revocation_during_publishing_comes_with_the_next_version(gates: Gates) -> None:
    """Stepped: the entries are locked, a rival revokes and waits for them; it is not lost."""
    event, (ticket,) = await gates.sell()
    await gates.publish()
    await gates.fetch("UPDATE pack_entries SET is_waiting = true")
    async with gates.service.database.acquire() as publisher:
        version = publisher.transaction()
        await version.start()
        keys = await gate_store.lock_waiting_entries(publisher, event_id=event.id, needs_digest=True)
        revoking = asyncio.create_task(revoke(gates, ticket))
        await until(
            lambda: gates.value("SELECT count(*) FROM pg_locks WHERE NOT granted"), PATIENCE_SECONDS, "revoking waits"
        )
        await gate_store.publish_entries(publisher, keys=keys, version=2, cut_offs={})
        await version.commit()
        await asyncio.wait_for(revoking, PATIENCE_SECONDS)
    assert await gates.value("SELECT is_waiting FROM pack_entries")
    await gates.publish()
    assert await outcome_of(gates, event.id, ticket.qr) == "revoked"


async def test_replicas_publish_one_version_after_the_other(make_database: MakeDatabase) -> None:
    url = make_database("ticketing")
    async with Gates(gate_settings(url)) as one, Gates(gate_settings(url)) as other:
        event, _ = await one.sell((4,))
        for serial in range(1, 6):
            await one.sell((4,), serial=serial, event=event)
            await asyncio.gather(*(gates.hashing.run_once() for gates in (one, other, one, other)))
            await asyncio.gather(*(gates.publishing.run_once() for gates in (one, other) * 3))
        await one.publish()
        pack = await one.pack(event.id)
        assert len(pack.tickets) == 24
        assert await one.value("SELECT count(DISTINCT version) FROM pack_entries") <= pack.version
        assert canonical((await other.fetch_pack(event.id))["pack"]) == canonical(
            (await one.fetch_pack(event.id))["pack"]
        )


async def test_codes_are_hashed_once_and_a_pack_names_only_what_is_hashed(gates: Gates) -> None:
    event, _ = await gates.sell((HASH_LIMIT + 5,))
    await gates.publishing.run_once()
    assert await gates.hashing.run_once() == 0
    await gates.publishing.run_once()
    pack = await gates.pack(event.id)
    assert len(pack.tickets) == HASH_LIMIT
    await gates.publishing.run_once()
    assert "ticketing_pack_waiting 5.0" in gates.metrics.render().decode()
    assert await gates.hashing.run_once() is None
    before = await gates.fetch("SELECT number, digest FROM pack_entries ORDER BY number")
    await gates.publish()
    assert len((await gates.pack(event.id)).tickets) == HASH_LIMIT + 5
    assert await gates.fetch("SELECT number, digest FROM pack_entries ORDER BY number") == before
    await gates.publishing.run_once()
    assert "ticketing_pack_waiting 0.0" in gates.metrics.render().decode()


async def test_codes_that_a_killed_replica_had_claimed_are_hashed_when_its_lease_is_over(gates: Gates) -> None:
    await gates.sell((2,))
    await gates.publishing.run_once()
    async with gates.service.transactions.begin() as tx:
        assert len(await gate_store.claim_entries_to_hash(tx.connection, limit=9, lease_seconds=60)) == 2
    assert await gates.hashing.run_once() is None
    assert await gates.value("SELECT count(digest) FROM pack_entries") == 0
    await gates.fetch("UPDATE pack_entries SET claimed_until = app_now() - interval '1 second'")
    await gates.hashing.run_once()
    assert await gates.value("SELECT count(digest) FROM pack_entries") == 2


async def test_the_organiser_chooses_the_form_and_no_ticket_is_missing_while_it_changes(gates: Gates) -> None:
    event = open_event()
    await choose(gates, event.id, "key")
    _, (ticket, gone) = await gates.sell((2,), event=event)
    await gates.publish()
    await revoke(gates, gone)
    await gates.publish()
    keyed = await gates.fetch_pack(event.id)
    assert keyed["pack"]["references"] == {ticket.code[:6]: 2}
    assert await gates.value("SELECT count(digest) FROM pack_entries") == 0, "nothing is hashed for nobody"
    secret = next(iter(keyed["pack"]["codes"]["keys"].values()))
    stored = await gates.value("SELECT string_agg(head::text, '') FROM gate_events")
    assert secret not in stored, "no key is in the database"
    assert await outcome_of(gates, event.id, ticket.code) == "valid"

    await choose(gates, event.id, "hashes")
    await gates.publishing.run_once()
    assert (await gates.fetch_pack(event.id))["pack"]["codes"]["form"] == "key", "as long as codes are not hashed"
    await gates.publish()
    answer = await gates.fetch_pack(event.id, keyed["pack"]["version"])
    assert answer["pack"]["codes"]["form"] == "hashes", "no update leads from one form to the other"
    assert answer["pack"]["references"] == {}
    assert secret.encode() not in canonical(answer)
    assert await outcome_of(gates, event.id, ticket.code) == "valid"
    assert await outcome_of(gates, event.id, gone.code) == "revoked"


async def test_a_stolen_keys_tickets_leave_the_pack_by_its_cut_off(make_database: MakeDatabase) -> None:
    url = make_database("ticketing")
    async with Gates(gate_settings(url)) as gates:
        event, (ticket,) = await gates.sell()
        await gates.publish()
        before = (await gates.fetch_pack(event.id))["pack"]
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    rotated = gate_settings(
        url,
        master_keys=SecretStr("m2:" + "44" * 32 + "," + MASTER_KEYS),
        compromised_master_keys=f"m1:{an_hour_ago}",
        signing_keys=SecretStr("s2:" + "33" * 32 + "," + SIGNING_KEYS),
    )
    async with Gates(rotated) as gates:
        _, (newer,) = await gates.sell(serial=1, event=event)
        await gates.publish()
        answer = await gates.fetch_pack(event.id, before["version"])
        assert answer["key_id"] == "s2"
        verify_pack(answer["pack"], "s2", answer["signature"], gates.packs._signer.public_keys)
        pack = read_pack(answer["pack"])
        now = datetime.now(UTC)
        told = [check_ticket(pack, text, now=now, admitted={}).outcome for text in (ticket.code, ticket.qr, newer.code)]
        assert told == ["unknown_ticket", "valid", "valid"], "a stolen master key spoils no QR"
        online = [showing(text, event.id) for text in (ticket.code, ticket.qr)]
        assert (await gates.refused(online[0])).outcome == "key_compromised"
        await gates.admitted(online[1])
        stored = await gates.value("SELECT string_agg(head::text, '') FROM gate_events")
        assert "44" * 32 not in stored


class Client:
    """A device over HTTP."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http, self._base = http, base

    async def ask(
        self, method: str, path: str, role: str | None, body: object = None, **headers: str
    ) -> tuple[int, Any, Mapping[str, str]]:
        tokens = {
            "gate": "gate-token-000000001",
            "supervisor": "supervisor-token-001",
            "organiser": "organiser-token-0001",
        }
        bearer = {"Authorization": f"Bearer {tokens[role]}"} if role else {}
        sent = orjson.dumps(body) if body is not None else None
        json_type = {"Content-Type": "application/json"} if body is not None else {}
        async with self._http.request(
            method,
            f"{self._base}{path}",
            headers={"Accept-Encoding": "identity", **bearer, **json_type, **headers},
            data=sent,
        ) as answer:
            raw = await answer.read()
            is_json = answer.content_type.endswith("json") and answer.headers.get("Content-Encoding") is None
            return answer.status, json.loads(raw) if raw and is_json else raw, answer.headers


async def test_a_gate_works_over_http(make_database: MakeDatabase, engines: Engines, namespace: str) -> None:
    settings = gate_settings(
        make_database("ticketing"), engines.amqp_url, namespace=namespace, gate_publish_seconds=0.1
    )
    order = order_paid((3,), event=open_event())
    event_id = order.event.id
    service = build(settings)
    async with (
        Wire(engines.amqp_url, namespace) as wire,
        running(service),
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):
        client = Client(http, f"http://127.0.0.1:{service.http_port}")
        heard = await wire.overhear(TicketsIssuedV1)
        await wire.publish(order)
        issued = await asyncio.wait_for(heard.get(), PATIENCE_SECONDS)
        assert isinstance(issued, TicketsIssuedV1)
        await _pack_over_http(client, event_id)
        await _checkins_over_http(client, event_id, issued.tickets)
        await _roles_are_kept_apart(client, event_id)


async def _pack_over_http(client: Client, event_id: UUID) -> None:
    path = f"/v1/gate/events/{event_id}/pack"

    async def is_complete() -> Any:
        status, document, headers = await client.ask("GET", path, "gate")
        return (document, headers) if status == 200 and len(document["pack"]["tickets"]) == 3 else None

    document, headers = await until(is_complete, PATIENCE_SECONDS, "all tickets are in the pack")
    pack = document["pack"]
    verify_pack(pack, document["key_id"], document["signature"], {"s1": PUBLIC_KEY})
    status, body, _ = await client.ask("GET", path, "gate", **{"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")
    status, body, packed = await client.ask("GET", path, "gate", **{"Accept-Encoding": "gzip"})
    assert packed["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(body)) == document
    status, update, _ = await client.ask("GET", f"{path}?since={pack['version']}", "gate")
    assert canonical(apply_delta(pack, update["delta"])) == canonical(pack)
    for since in ("x", "-1", "", "1e3", "9" * 12):
        assert (await client.ask("GET", f"{path}?since={since}", "gate"))[0] == 422
    for unknown in (str(new_id()), "no-uuid"):
        assert (await client.ask("GET", f"/v1/gate/events/{unknown}/pack", "gate"))[0] == 404


async def _checkins_over_http(client: Client, event_id: UUID, tickets: tuple[IssuedTicket, ...]) -> None:
    ask = showing(tickets[0].code, event_id).model_dump(mode="json")
    status, admitted, _ = await client.ask("POST", "/v1/gate/checkins", "gate", ask)
    assert (status, admitted["outcome"], admitted["code"]) == (200, "admitted", tickets[0].code)
    assert (await client.ask("POST", "/v1/gate/checkins", "gate", ask))[:2] == (200, admitted)
    again = showing(tickets[0].qr, event_id, gate="south").model_dump(mode="json")
    status, problem, _ = await client.ask("POST", "/v1/gate/checkins", "gate", again)
    assert (status, problem["code"], problem["first"]["gate"]) == (409, "already_admitted", "north")
    assert problem["first"]["admitted_at"] == admitted["admitted_at"].replace("Z", "+00:00")
    undo = f"/v1/gate/checkins/{admitted['admission_id']}/undo"
    why = {"gate": "north", "who": "sue", "why": "wrong person"}
    status, undone, _ = await client.ask("POST", undo, "supervisor", why)
    assert (status, undone["why"]) == (200, "wrong person")
    assert (await client.ask("POST", "/v1/gate/checkins", "gate", ask))[1]["code"] == "undone"
    assert (await client.ask("POST", f"/v1/gate/checkins/{new_id()}/undo", "supervisor", why))[0] == 404
    notes = [offline(tickets[1].code, event_id, gate=gate) for gate in ("east", "west")]
    sync = {"admissions": [note.model_dump(mode="json") for note in notes]}
    status, answer, _ = await client.ask("POST", "/v1/gate/sync", "gate", sync)
    assert [one["outcome"] for one in answer["admissions"]] == ["counts", "conflict"]
    assert answer["admissions"][1]["counting"]["gate"] == "east"
    status, found, _ = await client.ask("GET", f"/v1/gate/events/{event_id}/conflicts", "organiser")
    (conflict,) = found["conflicts"]
    assert (conflict["kind"], conflict["admission"]["gate"], conflict["counting"]["gate"]) == (
        "admitted_twice",
        "west",
        "east",
    )
    history = f"/v1/gate/events/{event_id}/history?code={tickets[0].code}"
    status, told, _ = await client.ask("GET", history, "supervisor")
    assert [one["what"] for one in told["history"]] == ["admitted", "refused", "undone"]
    bad = [
        ({**ask, "ticket": "hello"}, 422, "not_a_ticket"),
        ({**ask, "ticket": tickets[2].code}, 409, "admission_id_reused"),
        ({**ask, "gate": ""}, 422, "invalid"),
        ({**ask, "ticket": "a\0b"}, 422, "invalid"),
        ({**ask, "at": "2031-05-17T19:00:00"}, 422, "invalid"),
        ({**ask, "more": 1}, 422, "invalid"),
        (showing("ZZ2345-001-00000000", event_id).model_dump(mode="json"), 404, "unknown_ticket"),
    ]
    for body, expected, code in bad:
        status, problem, _ = await client.ask("POST", "/v1/gate/checkins", "gate", body)
        assert (status, problem["code"]) == (expected, code), body
    for body in ({"admissions": []}, {"admissions": sync["admissions"] * 501}, {}):
        assert (await client.ask("POST", "/v1/gate/sync", "gate", body))[0] == 422


async def _roles_are_kept_apart(client: Client, event_id: UUID) -> None:
    undo, settings = f"/v1/gate/checkins/{new_id()}/undo", f"/v1/admin/events/{event_id}/gate"
    for method, path, wrong in (
        ("GET", f"/v1/gate/events/{event_id}/pack", ()),
        ("POST", "/v1/gate/checkins", ("organiser",)),
        ("POST", undo, ("gate", "organiser")),
        ("POST", "/v1/gate/sync", ("organiser",)),
        ("GET", f"/v1/gate/events/{event_id}/conflicts", ()),
        ("GET", f"/v1/gate/events/{event_id}/history", ("gate",)),
        ("PUT", settings, ("gate", "supervisor")),
    ):
        assert (await client.ask(method, path, None))[0] == 401
        for role in wrong:
            assert (await client.ask(method, path, role, {}))[0] == 403, (path, role)
    opens_at = "2031-05-17T12:00:00Z"
    status, chosen, _ = await client.ask("PUT", settings, "organiser", {"form": "key", "opens_at": opens_at})
    assert (status, chosen) == (200, {"form": "key", "opens_at": opens_at})
    assert (await client.ask("PUT", settings, "organiser", {"opens_at": None}))[1] == {"form": "key", "opens_at": None}
    assert (await client.ask("PUT", settings, "organiser", {}))[1] == {"form": "key", "opens_at": None}
    assert (await client.ask("PUT", settings, "organiser", {"form": "plain"}))[0] == 422
