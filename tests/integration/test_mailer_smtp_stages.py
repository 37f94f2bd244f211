"""A server that refuses, breaks off or falls silent at each step of handing a mail over: what it costs the mail."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from services.mailer.service import build
from shared.contracts.mailer import MailFailedV1
from tests.databases import MakeDatabase
from tests.integration.test_mailer_sending import MailBench, make_certificate
from tests.ticket_samples import expired_order, mailer_settings
from tests.waiting import until

Step = Literal["connect", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "end of DATA"]
#: An answer, or none at all, or the end of the connection.
Fault = int | Literal["silent", "broken off"]

BEFORE_ANY_MAIL: tuple[Step, ...] = ("connect", "EHLO", "AUTH")
WITH_A_MAIL: tuple[Step, ...] = ("MAIL", "RCPT", "DATA", "end of DATA")


@dataclass
class Office:
    """A post office with one bad habit at a time."""

    port: int = 0
    step: Step | None = None
    fault: Fault = 0
    taken: list[str] = field(default_factory=list)
    met: int = 0

    async def handle_DATA(self, server: "Clerk", _: Session, envelope: Envelope) -> str:  # noqa: N802
        if await server.stumbles("end of DATA"):
            # The clerk has said something already, or there is nobody left to hear it.
            return ""
        self.taken.extend(envelope.rcpt_tos)
        return "250 OK"


class Clerk(SMTP):
    """aiosmtpd's server, with a fault at the step that the office says."""

    def __init__(self, office: Office, **options: Any) -> None:
        super().__init__(office, **options)
        self._office = office

    async def stumbles(self, step: Step) -> bool:
        office = self._office
        if office.step != step:
            return False
        office.met += 1
        if office.fault == "silent":
            await asyncio.Event().wait()
        elif office.fault == "broken off":
            assert self.transport is not None
            self.transport.close()
        else:
            await self.push(f"{office.fault} on purpose")
        return True

    async def push(self, status: Any) -> None:
        if status:
            await super().push(status)

    async def _handle_client(self) -> None:
        if not await self.stumbles("connect"):
            await super()._handle_client()

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        if not await self.stumbles("EHLO"):
            await super().smtp_EHLO(hostname)

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802
        if not await self.stumbles("EHLO"):
            await super().smtp_HELO(hostname)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        if not await self.stumbles("AUTH"):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        if not await self.stumbles("MAIL"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        if not await self.stumbles("RCPT"):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if not await self.stumbles("DATA"):
            await super().smtp_DATA(arg)


@asynccontextmanager
async def office_open(tls: ssl.SSLContext | None = None) -> AsyncIterator[Office]:
    office = Office()
    clerks: list[Clerk] = []

    def admit() -> Clerk:
        clerk = Clerk(
            office,
            hostname="localhost",
            loop=asyncio.get_running_loop(),
            auth_require_tls=False,
            authenticator=lambda *_: AuthResult(success=True),
        )
        clerks.append(clerk)
        return clerk

    server = await asyncio.get_running_loop().create_server(admit, "127.0.0.1", 0, ssl=tls)
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        server.close()
        for clerk in clerks:
            if clerk.transport is not None:
                with contextlib.suppress(OSError):
                    clerk.transport.close()


@asynccontextmanager
async def mailing(database_url: str, step: Step, fault: Fault) -> AsyncIterator[tuple[Office, MailBench]]:
    """A mailer with one mail to send, and an office that has this fault."""
    async with office_open() as office:
        office.step, office.fault = step, fault
        async with mailer_at(database_url, f"smtp://box:secret@127.0.0.1:{office.port}", patience(fault)) as bench:
            yield office, bench


@asynccontextmanager
async def mailer_at(database_url: str, url: str, timeout_seconds: float) -> AsyncIterator[MailBench]:
    settings = mailer_settings(
        database_url, url, smtp_timeout_seconds=timeout_seconds, lease_seconds=10 * timeout_seconds
    )
    async with MailBench(build(settings)) as bench:
        await bench.fetch("DELETE FROM mails")
        await bench.deliver(expired_order())
        yield bench


def patience(fault: Fault) -> float:
    """Long enough for a busy machine where the server answers; short where only silence is to come."""
    return 0.5 if fault == "silent" else 20.0


@pytest.mark.parametrize("step", BEFORE_ANY_MAIL)
async def test_a_server_that_lets_nobody_in_costs_no_try(make_database: MakeDatabase, step: Step) -> None:
    database_url = make_database("mailer")
    faults: tuple[Fault, ...] = (421, 554, "silent", "broken off")
    for fault in faults:
        async with mailing(database_url, step, fault) as (office, bench):
            assert await bench.send() is not None
            assert await bench.rows() == [("waiting", 0)], fault
            assert await bench.value("SELECT claimed_by FROM mails") is None
            assert bench.service.metrics.registry.get_sample_value("boxoffice_smtp_away") == 1, fault
            assert await bench.given_out(MailFailedV1) == []
            # On a busy machine the time may be over before the silence was met.
            assert office.met or fault == "silent", fault


@pytest.mark.parametrize("step", WITH_A_MAIL)
async def test_a_passing_fault_costs_a_try_and_then_the_mail_is_sent(make_database: MakeDatabase, step: Step) -> None:
    database_url = make_database("mailer")
    faults: tuple[Fault, ...] = (451, "silent", "broken off")
    for fault in faults:
        async with mailing(database_url, step, fault) as (office, bench):
            await until(partial(is_tried, bench), 30, f"a try is spent: {fault}")
            assert (await bench.rows())[0][0] == "waiting", fault
            assert office.met, fault
            office.step = None
            await until(partial(is_sent, bench), 30, f"the mail is sent: {fault}")
            assert office.taken == ["ada@example.com"], fault
            assert await bench.given_out(MailFailedV1) == []


async def is_tried(bench: MailBench) -> bool:
    await bench.send()
    return bool(await bench.value("SELECT tries > 0 FROM mails"))


async def is_sent(bench: MailBench) -> bool:
    await bench.send()
    return (await bench.rows())[0][0] == "sent"


async def test_a_refusal_for_good_ends_the_mail_at_once(make_database: MakeDatabase) -> None:
    database_url = make_database("mailer")
    refusals: tuple[tuple[Step, int], ...] = (
        ("MAIL", 552), ("RCPT", 550), ("RCPT", 553), ("DATA", 554), ("end of DATA", 554),
    )  # fmt: skip
    for step, code in refusals:
        async with mailing(database_url, step, code) as (_, bench):
            await bench.given_out(MailFailedV1)
            await bench.send()
            assert await bench.rows() == [("failed", 1)], step
            (failed,) = await bench.given_out(MailFailedV1)
            assert failed.why == f"{code} on purpose"


async def test_a_refused_sender_is_our_own_fault_and_ends_no_mail(make_database: MakeDatabase) -> None:
    async with mailing(make_database("mailer"), "MAIL", 550) as (_, bench):
        await bench.send()
        assert await bench.rows() == [("waiting", 1)]
        assert await bench.given_out(MailFailedV1) == []


async def test_mail_goes_over_tls_from_the_first_octet(make_database: MakeDatabase, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    database_url = make_database("mailer")
    async with office_open(context) as office:
        for query, rows in (("", [("waiting", 0)]), (f"?cafile={certificate}", [("sent", 1)])):
            url = f"smtps://box:secret@127.0.0.1:{office.port}{query}"
            async with mailer_at(database_url, url, 20.0) as bench:
                await bench.send()
                assert await bench.rows() == rows
    assert office.taken == ["ada@example.com"]


async def test_nothing_is_said_in_the_clear_to_a_server_that_has_lost_its_tls(make_database: MakeDatabase) -> None:
    """Somebody in between may have taken the offer of STARTTLS out."""
    async with office_open() as office:
        office.step, office.fault = "AUTH", 535
        url = f"smtp://box:secret@127.0.0.1:{office.port}?starttls=1"
        async with mailer_at(make_database("mailer"), url, 20.0) as bench:
            await bench.send()
            assert await bench.rows() == [("waiting", 0)]
    assert (office.met, office.taken) == (0, [])
