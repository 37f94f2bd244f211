"""The mailer on real PostgreSQL and a real SMTP server: once each, whatever the server says."""

import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.local.databases import Templates
from services.mailer.rendering import Renderer
from services.mailer.service import build
from services.mailer.settings import MailerSettings
from services.mailer.store import Mail
from shared.contracts.base import Message
from shared.contracts.mailer import MailFailedV1
from shared.contracts.payments import PaymentRefundedV1, RefundFailedV1, RefundStartedV1
from shared.runtime.ids import new_id
from tests.databases import MakeDatabase
from tests.harness import Bench, Note, move_clock
from tests.post import Post
from tests.ticket_samples import expired_order, mailer_settings, tickets_issued
from tests.waiting import until


class MailBench(Bench):
    """A bench whose send loop runs when the test says so."""

    async def send(self) -> float | None:
        (loop,) = [loop for loop in self.service.loops if loop.name == "send mail"]
        return await loop.run_once()

    async def send_until(self, post: Post, count: int) -> None:
        async def came() -> Any:
            await self.send()
            return len(post.mails) >= count

        await until(came, 15, f"{count} mails")

    async def rows(self) -> list[tuple[str, int]]:
        return [
            (row["status"], row["tries"]) for row in await self.fetch("SELECT status, tries FROM mails ORDER BY id")
        ]


@asynccontextmanager
async def opened(settings: MailerSettings) -> AsyncIterator[MailBench]:
    async with MailBench(build(settings)) as bench:
        yield bench


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with Post() as office:
        yield office


@pytest.fixture
async def bench(make_database: MakeDatabase, post: Post) -> AsyncIterator[MailBench]:
    async with opened(mailer_settings(make_database("mailer"), post.url)) as bench:
        yield bench


def refund(model: type[RefundStartedV1 | PaymentRefundedV1 | RefundFailedV1]) -> Message:
    return model(
        order_id=new_id(),
        charge_id="77",
        reference="bx-77",
        amount_kobo=500_000,
        currency="NGN",
        purpose="late",
        email="ada@example.com",
        why="it came late",
    )


async def test_each_holder_is_mailed_his_own_tickets_whatever_list_comes_first(
    make_database: MakeDatabase,
) -> None:
    """A ticket is issued again to another holder; the lists of before and after come in any order, or together."""
    first = tickets_issued((1, 2))
    kept, old = first.tickets
    new = old.model_copy(update={"number": 3, "place": 2, "email": "bola@example.com", "code": "222222-003-0123abcd"})
    second = first.model_copy(update={"tickets": (kept, new)})
    for together, messages in ((False, (first, second)), (False, (second, first)), (True, (first, second)),
                               (True, (second, first))):  # fmt: skip
        async with Post() as post, opened(mailer_settings(make_database("mailer"), post.url)) as bench:
            if together:
                await bench.deliver_batch(*messages)
            else:
                await bench.deliver(*messages)
            await bench.deliver(*messages)
            rows = await bench.fetch("SELECT email, data FROM mails ORDER BY email")
            mailed = {row["email"]: [one["number"] for one in row["data"]["tickets"]] for row in rows}
            # The list of before came first and alone: then the old ticket was good when it was mailed.
            was_good = not together and messages[0] is first
            assert mailed == {"ada@example.com": [1, 2] if was_good else [1], "bola@example.com": [3]}
            await bench.send_until(post, 2)
            texts = {mail.to: mail.text + mail.html for mail in post.mails}
            assert new.code in texts["bola@example.com"]
            assert "tickets.example/orders" in texts["ada@example.com"]
            assert "tickets.example/orders" not in texts["bola@example.com"], "the order is the buyer's"


async def test_five_times_the_same_tickets_are_one_mail(bench: MailBench, post: Post) -> None:
    issued = tickets_issued()
    await bench.deliver(issued, issued)
    await bench.deliver_batch(issued, issued)
    await bench.send()
    await bench.deliver(issued)
    assert await bench.send() is None
    assert [mail.subject for mail in post.mails] == ["Your tickets for Lagos Nights"]
    assert await bench.rows() == [("sent", 1)]


async def test_tickets_that_lost_a_revoked_one_are_not_mailed_again(bench: MailBench, post: Post) -> None:
    issued = tickets_issued((1, 2, 3))
    await bench.deliver(issued, issued.model_copy(update={"tickets": (issued.tickets[0], issued.tickets[2])}))
    await bench.deliver(issued.model_copy(update={"tickets": ()}))
    await bench.send()
    assert len(post.mails) == 1


async def test_a_new_ticket_of_an_order_is_mailed_alone(bench: MailBench, post: Post) -> None:
    issued = tickets_issued((1, 2))
    await bench.deliver(issued)
    await bench.send()
    await bench.deliver(tickets_issued((2, 3), order_id=issued.order_id))
    await bench.send()
    first, second = post.mails
    assert "-001-" in first.text
    assert "-003-" in second.text
    assert "-002-" not in second.text


async def test_every_order_of_arrival_gives_the_same_mails(bench: MailBench, post: Post, note: Note) -> None:
    messages = [refund(model) for model in (RefundStartedV1, PaymentRefundedV1, RefundFailedV1)]
    ends = set()
    sequences = list(permutations([*messages, messages[0]]))
    for sequence in sequences:
        order_id = new_id()
        await bench.deliver(*(one.model_copy(update={"order_id": order_id}) for one in sequence))
        kinds = await bench.fetch("SELECT kind FROM mails WHERE order_id = $1 ORDER BY kind", order_id)
        ends.add(tuple(row["kind"] for row in kinds))
    note(f"mailer, refunds: {len(sequences)} sequences")
    assert ends == {("refund_failed", "refund_started", "refunded")}
    await bench.send_until(post, 3 * len(sequences))
    assert len(post.mails) == 3 * len(sequences)


async def test_only_a_buyer_who_went_to_pay_hears_of_the_expiry(bench: MailBench, post: Post) -> None:
    await bench.deliver(expired_order(paying_started=False), expired_order(paying_started=True))
    await bench.send()
    assert [mail.subject for mail in post.mails] == ["Your order VM9KHU was not paid in time"]


async def test_a_server_that_is_away_costs_no_try(make_database: MakeDatabase, post: Post) -> None:
    await post.close()
    async with opened(mailer_settings(make_database("mailer"), post.url)) as bench:
        await bench.deliver(tickets_issued())
        assert await bench.send() == pytest.approx(0.5, abs=0.1)
        assert await bench.rows() == [("waiting", 0)]
        assert await bench.value("SELECT claimed_by FROM mails") is None
        await post.open()
        await bench.send_until(post, 1)
        assert await bench.rows() == [("sent", 1)]
        assert await bench.given_out(MailFailedV1) == []


async def test_a_temporary_refusal_is_tried_again(
    make_database: MakeDatabase, templates: Templates, post: Post
) -> None:
    url = make_database("mailer")
    post.refuse("ada@example.com", 451, times=2)
    # Pauses that no busy machine sleeps through: the clock is moved over them.
    async with opened(mailer_settings(url, post.url, retry_seconds=600.0)) as bench:
        await bench.deliver(tickets_issued())
        await bench.send()
        assert await bench.rows() == [("waiting", 1)]
        assert "451" in await bench.value("SELECT last_error FROM mails")
        for seconds in (700, 2000):
            await move_clock(templates.admin(url), seconds)
            await bench.send()
        assert await bench.rows() == [("sent", 3)]


async def test_a_permanent_refusal_is_reported_once(bench: MailBench, post: Post) -> None:
    post.refuse("ada@example.com", 550)
    issued = tickets_issued()
    await bench.deliver(issued)
    await bench.send()
    await bench.deliver(issued)
    await bench.send()
    (failed,) = await bench.given_out(MailFailedV1)
    assert (failed.order_id, failed.kind, failed.email) == (issued.order_id, "tickets", issued.email)
    assert "550" in failed.why
    assert await bench.rows() == [("failed", 1)]


async def test_a_refused_mail_does_not_hold_up_the_others(bench: MailBench, post: Post) -> None:
    post.refuse("bad@example.com", 550)
    post.refuse("busy@example.com", 451)
    addresses = ["bad@example.com", "busy@example.com", "ada@example.com", "eve@example.com"]
    await bench.deliver_batch(*(tickets_issued(serial=n, email=email) for n, email in enumerate(addresses)))
    await bench.send()
    assert {mail.to for mail in post.mails} == {"ada@example.com", "eve@example.com"}


async def test_a_mail_that_is_refused_for_a_day_is_given_up(
    make_database: MakeDatabase, templates: Templates, post: Post
) -> None:
    url = make_database("mailer")
    post.refuse("ada@example.com", 451)
    async with opened(mailer_settings(url, post.url, retry_seconds=600.0)) as bench:
        await bench.deliver(tickets_issued())
        await bench.send()
        assert await bench.given_out(MailFailedV1) == []
        await move_clock(templates.admin(url), 24 * 3600 + 60)
        await bench.send()
        (failed,) = await bench.given_out(MailFailedV1)
        assert failed.why.startswith("not taken in 2 tries over 24 hours; the last: 451")
        assert await bench.rows() == [("failed", 2)]


async def test_a_mail_that_waited_for_its_server_for_days_is_still_sent(
    make_database: MakeDatabase, templates: Templates, post: Post
) -> None:
    url = make_database("mailer")
    async with opened(mailer_settings(url, post.url)) as bench:
        await bench.deliver(tickets_issued())
        await move_clock(templates.admin(url), 3 * 24 * 3600)
        await bench.send()
        assert await bench.rows() == [("sent", 1)]


async def test_an_outcome_after_the_lease_ran_out_changes_nothing(bench: MailBench) -> None:
    from services.mailer import store

    await bench.deliver(tickets_issued())
    owner, rival = new_id(), new_id()
    async with bench.service.database.acquire() as connection:
        (mail,) = await store.claim_mails(connection, limit=5, claimant=owner, lease_seconds=0.0)
        (again,) = await store.claim_mails(connection, limit=5, claimant=rival, lease_seconds=60.0)
        assert again.id == mail.id
        assert not await store.mark_mail_failed(connection, mail_id=mail.id, claimant=owner, why="late")
        assert not await store.delay_mail(connection, mail_id=mail.id, claimant=owner, seconds=5, why="late")
        await store.release_mails(connection, mail_ids=[mail.id], claimant=owner)
        assert await store.mark_mail_sent(connection, mail_id=mail.id, claimant=rival)
    assert await bench.rows() == [("sent", 1)]


async def test_a_mail_that_cannot_be_written_is_reported_and_stops_nobody(bench: MailBench, post: Post) -> None:
    await bench.deliver_batch(tickets_issued(serial=1), tickets_issued(serial=2))
    await bench.fetch("UPDATE mails SET data = '{}' WHERE data ->> 'reference' = '322222'")
    await bench.send()
    (failed,) = await bench.given_out(MailFailedV1)
    assert failed.why == "the mail could not be written: KeyError"
    assert len(post.mails) == 1


async def test_a_mail_is_drawn_beside_the_event_loop(
    bench: MailBench, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order of hundreds of tickets takes seconds to draw, in which health and messages are still answered."""
    threads = []
    plain = Renderer.render

    def watched(self: Renderer, mail: Mail) -> EmailMessage:
        threads.append(threading.current_thread())
        return plain(self, mail)

    monkeypatch.setattr(Renderer, "render", watched)
    await bench.deliver(tickets_issued())
    await bench.send()
    assert len(post.mails) == len(threads) == 1
    assert threads[0] is not threading.current_thread()


async def test_an_address_beyond_ascii_gets_its_mail(bench: MailBench, post: Post) -> None:
    await bench.deliver(tickets_issued(email="adé@exämple.com"))
    await bench.send()
    assert await bench.rows() == [("sent", 1)]
    assert [mail.to for mail in post.mails] == ["adé@exämple.com"]


async def test_an_address_this_server_cannot_spell_is_given_up_at_once(make_database: MakeDatabase) -> None:
    controller = Controller(Strict(), hostname="127.0.0.1", port=Post.free_port(), enable_SMTPUTF8=False)
    controller.start()
    try:
        async with opened(mailer_settings(make_database("mailer"), f"smtp://127.0.0.1:{controller.port}")) as bench:
            await bench.deliver(tickets_issued(email="adé@example.com"))
            await bench.send()
            assert await bench.rows() == [("failed", 1)]
            (failed,) = await bench.given_out(MailFailedV1)
            assert "SMTPUTF8" in failed.why
    finally:
        controller.stop()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


class Strict:
    """Takes mail after STARTTLS and a login."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def handle_DATA(self, _server: object, session: object, envelope: object) -> str:  # noqa: N802
        assert getattr(session, "ssl", None) is not None
        assert getattr(session, "authenticated", False)
        self.taken.extend(getattr(envelope, "rcpt_tos", []))
        return "250 OK"


@contextmanager
def strict_server(certificate: Path, key: Path) -> Iterator[tuple[Strict, int]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handler = Strict()

    def authenticate(_server: object, _session: object, _envelope: object, _how: str, given: object) -> AuthResult:
        assert isinstance(given, LoginPassword)
        return AuthResult(success=given == LoginPassword(b"box", b"p@ss"))

    controller = Controller(
        handler,
        hostname="127.0.0.1",
        port=Post.free_port(),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
    )
    controller.start()
    try:
        yield handler, controller.port
    finally:
        controller.stop()


async def test_mail_goes_over_starttls_with_a_login(make_database: MakeDatabase, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    with strict_server(certificate, key) as (server, port):
        url = f"smtp://box:p%40ss@127.0.0.1:{port}?starttls=1&cafile={certificate}"
        async with opened(mailer_settings(make_database("mailer"), url)) as bench:
            await bench.deliver(tickets_issued())
            await bench.send()
            assert await bench.rows() == [("sent", 1)]
    assert server.taken == ["ada@example.com"]


@pytest.mark.parametrize(
    "wrong", ["box:guess@127.0.0.1:{port}?starttls=1&cafile={file}", "box:p%40ss@127.0.0.1:{port}?starttls=1"]
)
async def test_a_wrong_password_or_a_strange_certificate_sends_nothing_and_costs_no_try(
    make_database: MakeDatabase, tmp_path: Path, wrong: str
) -> None:
    certificate, key = make_certificate(tmp_path)
    with strict_server(certificate, key) as (server, port):
        url = "smtp://" + wrong.format(port=port, file=certificate)
        async with opened(mailer_settings(make_database("mailer"), url)) as bench:
            await bench.deliver(tickets_issued())
            assert await bench.send() == pytest.approx(0.5, abs=0.1)
            assert await bench.rows() == [("waiting", 0)]
    assert server.taken == []
