"""An operator sees what was mailed and sends it again: over HTTP, and from the command line."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from boxoffice.cli import app, register_commands
from boxoffice.exits import CommandError
from deploy.local.engines import Engines
from services.mailer.service import build
from shared.contracts.mailer import MailFailedV1, MailSentV1
from shared.runtime.ids import new_id
from shared.runtime.service import Service
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Wire, running
from tests.post import Post
from tests.ticket_samples import mailer_settings, tickets_issued
from tests.waiting import until

OPERATOR, ORGANISER = "operator-token-0001", "organiser-token-0001"


@dataclass
class Desk:
    """A running mailer, its post office, and an operator's calls."""

    service: Service
    post: Post
    wire: Wire
    heard: asyncio.Queue[Any]
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.service.http_port}"

    async def call(self, method: str, path: str, *, token: str = OPERATOR, **more: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.request(method, f"{self.url}{path}", headers=headers, **more) as answer:
            return answer.status, await answer.json(content_type=None)

    async def mails(self, query: str) -> list[dict[str, Any]]:
        status, body = await self.call("GET", f"/v1/admin/mails?{query}")
        assert status == 200, body
        return list(body["mails"])

    async def next_said(self) -> Any:
        return await asyncio.wait_for(self.heard.get(), PATIENCE_SECONDS)


@asynccontextmanager
async def desk_of(make_database: MakeDatabase, engines: Engines, namespace: str) -> AsyncIterator[Desk]:
    async with Post() as post, Wire(engines.amqp_url, namespace) as wire, aiohttp.ClientSession() as session:
        heard = await wire.overhear(MailFailedV1, MailSentV1)
        service = build(mailer_settings(make_database("mailer"), post.url, engines.amqp_url, namespace=namespace))
        async with running(service):
            yield Desk(service, post, wire, heard, session)


@pytest.fixture
async def desk(make_database: MakeDatabase, engines: Engines, namespace: str) -> AsyncIterator[Desk]:
    async with desk_of(make_database, engines, namespace) as one:
        yield one


async def test_a_refused_mail_is_sent_again_to_a_corrected_address(desk: Desk) -> None:
    desk.post.refuse("ada@exmple.com", 550)
    issued = tickets_issued((1, 2), email="ada@exmple.com")
    await desk.wire.publish(issued)
    failed = await desk.next_said()
    assert (type(failed), failed.sending, failed.email) == (MailFailedV1, 1, "ada@exmple.com")
    (listed,) = await desk.mails("status=failed")
    assert (listed["order_id"], listed["status"], listed["id"]) == (
        str(issued.order_id), "failed", str(failed.mail_id),
    )  # fmt: skip
    assert "550" in listed["last_error"]

    path = f"/v1/admin/mails/{failed.mail_id}/resend"
    status, going = await desk.call("POST", path, json={"email": "ada@example.com"})
    assert (status, going["sending"], going["email"]) == (202, 2, "ada@example.com")
    sent = await desk.next_said()
    assert (type(sent), sent.mail_id, sent.sending, sent.email) == (MailSentV1, failed.mail_id, 2, "ada@example.com")
    (mail,) = desk.post.mails
    assert mail.to == "ada@example.com"
    assert all(ticket.code in mail.text for ticket in issued.tickets)
    assert mail.message_id == f"<{going['id']}@boxoffice.example>"
    assert dict(mail.headers)["References"] == f"<{failed.mail_id}@boxoffice.example>"
    assert await desk.mails("status=failed") == []
    assert [one["status"] for one in await desk.mails(f"order_id={issued.order_id}")] == ["sent", "failed"]


async def test_a_first_sending_that_was_taken_is_not_announced_and_can_be_repeated(desk: Desk) -> None:
    issued = tickets_issued()
    await desk.wire.publish(issued)
    await until(lambda: desk.post.mails, PATIENCE_SECONDS, "the first mail")
    (listed,) = await until(lambda: desk.mails(f"order_id={issued.order_id}"), PATIENCE_SECONDS, "the mail is listed")
    for number in (2, 3):
        assert (await desk.call("POST", f"/v1/admin/mails/{listed['id']}/resend"))[0] == 202
        sent = await desk.next_said()
        assert (type(sent), sent.sending) == (MailSentV1, number)
    assert len({mail.message_id for mail in desk.post.mails}) == 3


async def test_ten_operators_at_once_are_one_sending(desk: Desk) -> None:
    """The server takes nothing for now, so that the first sending of theirs still waits when the others ask."""
    desk.post.refuse("ada@exmple.com", 550)
    await desk.wire.publish(tickets_issued(email="ada@exmple.com"))
    failed = await desk.next_said()
    desk.post.refuse("ada@example.com", 451)
    path = f"/v1/admin/mails/{failed.mail_id}/resend"
    answers = await asyncio.gather(*(desk.call("POST", path, json={"email": "ada@example.com"}) for _ in range(10)))
    assert {status for status, _ in answers} == {202}
    assert {(body["sending"], body["id"]) for _, body in answers} == {(2, answers[0][1]["id"])}
    # And a person who corrects the address once more is the only one whose mail goes.
    assert (await desk.call("POST", path, json={"email": "eve@example.com"}))[1]["sending"] == 3
    sent = await desk.next_said()
    assert (type(sent), sent.sending) == (MailSentV1, 3)
    assert [one["status"] for one in await desk.mails(f"order_id={failed.order_id}")] == ["sent", "replaced", "failed"]
    assert [mail.to for mail in desk.post.mails] == ["eve@example.com"]


async def test_only_an_operator_who_asks_rightly_gets_an_answer(desk: Desk) -> None:
    path = f"/v1/admin/mails/{new_id()}/resend"
    assert (await desk.call("GET", "/v1/admin/mails?status=failed", token=ORGANISER))[0] == 403
    assert (await desk.call("POST", path, token=ORGANISER))[0] == 403
    assert (await desk.call("POST", path, token="nobody-0123456789"))[0] == 401
    assert (await desk.call("POST", path))[0] == 404
    assert (await desk.call("POST", "/v1/admin/mails/x/resend"))[0] == 404
    for query in ("", "order_id=x", "status=sent", f"status=failed&order_id={new_id()}"):
        assert (await desk.call("GET", f"/v1/admin/mails?{query}"))[0] == 422, query
    for body in ({"email": "no address"}, {"email": "a@b\x00.example"}, {"to": "a@b.example"}):
        assert (await desk.call("POST", path, json=body))[0] == 422, body
    assert await desk.mails(f"order_id={new_id()}") == []


async def test_the_command_line_lists_and_sends_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    if not any(group.name == "mail" for group in app.registered_groups):
        register_commands()
    monkeypatch.setenv("BOXOFFICE_MAILER_URL", desk.url)
    monkeypatch.setenv("BOXOFFICE_OPERATOR_TOKEN", OPERATOR)

    async def command(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, ["mail", *words])

    assert "No mail was given up" in (await command("list")).output
    desk.post.refuse("ada@exmple.com", 550, times=1)
    issued = tickets_issued(email="ada@exmple.com")
    await desk.wire.publish(issued)
    await desk.next_said()
    (listed,) = json.loads((await command("list", "--json")).output)
    assert listed["order_id"] == str(issued.order_id)
    assert "550" in (await command("list", "--order", str(issued.order_id))).output
    again = await command("resend", "--order", str(issued.order_id), "--to", "ada@example.com")
    assert again.exit_code == 0
    # The mailer in this process logs to the same place.
    assert again.output.endswith("tickets: on its way to ada@example.com (sending 2)\n")
    assert type(await desk.next_said()) is MailSentV1
    again = await command("resend", "--order", str(issued.order_id))
    assert isinstance(again.exception, CommandError)
    assert str(again.exception) == "No mail of this order has failed."
    assert (await command("resend", listed["id"], "--json")).exit_code == 0
    wrong = await command("resend")
    assert isinstance(wrong.exception, CommandError)
    assert wrong.exception.code == 2


async def test_a_sending_that_is_replaced_mid_air_counts_for_nothing(
    make_database: MakeDatabase,
) -> None:
    """The rival stands between the lease and its outcome: whoever replaced the sending has the last word."""
    from services.mailer import store
    from tests.harness import Bench

    async with Bench(build(mailer_settings(make_database("mailer"), "smtp://127.0.0.1:1"))) as bench:
        await bench.deliver(tickets_issued())
        owner = new_id()
        async with bench.service.database.acquire() as connection:
            (mail,) = await store.claim_mails(connection, limit=5, claimant=owner, lease_seconds=60.0)
            await store.replace_mails(connection, mail_ids=[mail.id])
            assert not await store.mark_mail_sent(connection, mail_id=mail.id, claimant=owner)
            assert not await store.hasten_mail(connection, mail_id=mail.id)
        assert await bench.value("SELECT status FROM mails") == "replaced"
