"""The mail catcher takes every mail, shows it, keeps it, and refuses what it is told to."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiohttp
import aiosmtplib
import pytest

from deploy.catcher.app import serving
from deploy.catcher.mail import read_mail
from deploy.catcher.settings import Settings

WAIT_SECONDS = 10
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000a49444154789c6300010000050001"
    "0d0a2db40000000049454e44ae426082"
)


class Catcher:
    """A client of one running catcher."""

    def __init__(self, http: aiohttp.ClientSession, smtp_port: int) -> None:
        """Talk to a catcher through both its doors."""
        self.http = http
        self.smtp_port = smtp_port

    async def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """Make a call and return its JSON, after checking the HTTP status."""
        async with self.http.request(method, path, **options) as answer:
            text = await answer.text()
            assert answer.status == status, f"{method} {path}: {answer.status} {text}"
            return json.loads(text)

    async def page(self, path: str) -> str:
        """Return a page."""
        async with self.http.get(path) as answer:
            assert answer.status == 200
            return await answer.text()

    async def send(self, message: EmailMessage, *recipients: str) -> None:
        """Send a mail."""
        await aiosmtplib.send(
            message, hostname="127.0.0.1", port=self.smtp_port, recipients=list(recipients) or None, start_tls=False
        )


@asynccontextmanager
async def catcher(**settings: Any) -> AsyncIterator[Catcher]:
    """Run a catcher on free ports."""
    async with (
        serving(Settings(http_port=0, smtp_port=0, **settings)) as addresses,
        aiohttp.ClientSession(addresses.url) as http,
    ):
        yield Catcher(http, addresses.smtp_port)


def mail(to: str = "ada@example.com", subject: str = "Your tickets") -> EmailMessage:
    """Make a short mail."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Boxoffice <tickets@boxoffice.example>", to, subject
    message["Message-ID"] = "<1@boxoffice.example>"
    message.set_content("Your code is VL9IHU-001-f3a2b1c0.\n")
    return message


def ticket_mail() -> EmailMessage:
    """Make a mail with HTML, an image within it, and a file."""
    message = mail(subject="Åse's tickets: ₦5,000")
    message.add_alternative(
        '<p id="code">VL9IHU</p><img src="cid:qr1"><img src="http://tracker.example/x.png">'
        "<script>document.getElementById('code').remove()</script>",
        subtype="html",
    )
    html = message.get_body(("html",))
    assert isinstance(html, EmailMessage)
    html.add_related(PIXEL, "image", "png", cid="<qr1>")
    message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="Tickets für Åse.pdf")
    return message


async def test_mail_is_listed_with_all_its_parts() -> None:
    async with catcher() as box:
        await box.send(ticket_mail())
        [got] = await box.call("GET", "/messages")
        assert (got["to"], got["subject"]) == ("ada@example.com", "Åse's tickets: ₦5,000")
        assert got["text"] == "Your code is VL9IHU-001-f3a2b1c0.\n"
        assert "cid:qr1" in got["html"]
        assert got["message_id"] == "<1@boxoffice.example>"
        files = [(a["name"], a["content_type"], a["inline"]) for a in got["attachments"]]
        assert files == [("", "image/png", True), ("Tickets für Åse.pdf", "application/pdf", False)]
        for number, content in enumerate((PIXEL, b"%PDF-1.7")):
            async with box.http.get(f"/messages/{got['id']}/attachments/{number}") as answer:
                assert await answer.read() == content
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
        await box.call("GET", f"/messages/{got['id']}/attachments/2", 404)
        assert await box.call("GET", f"/messages/{got['id']}") == got
        async with box.http.get(f"/messages/{got['id']}/raw") as answer:
            assert b"Subject: " in await answer.read()
        await box.call("GET", "/messages/99", 404)


async def test_each_recipient_is_a_mail_of_its_own_and_filters_find_it() -> None:
    async with catcher() as box:
        await box.send(mail(), "ada@example.com", "bob@example.com")
        await box.send(mail(subject="Refund started"), "ADA@example.com")
        assert [m["to"] for m in await box.call("GET", "/messages")] == [
            "ada@example.com",
            "bob@example.com",
            "ADA@example.com",
        ]
        assert len(await box.call("GET", "/messages?to=Ada@Example.com")) == 2
        assert len(await box.call("GET", "/messages?to=ada@example.com&subject=refund")) == 1
        assert await box.call("DELETE", "/messages") == {"deleted": 3}
        assert await box.call("GET", "/messages") == []


async def test_waiting_ends_when_the_mail_comes() -> None:
    async with catcher() as box:
        waiting = asyncio.create_task(
            box.call("GET", f"/messages/wait?to=ada@example.com&count=2&timeout_seconds={WAIT_SECONDS}")
        )
        await box.send(mail())
        await box.send(mail("bob@example.com"))
        assert not waiting.done()
        await box.send(mail())
        assert len(await asyncio.wait_for(waiting, WAIT_SECONDS)) == 2


async def test_waiting_in_vain_says_what_came() -> None:
    async with catcher() as box:
        await box.send(mail())
        answer = await box.call("GET", "/messages/wait?count=2&timeout_seconds=0.01", 408)
        assert (answer["error"], len(answer["messages"])) == ("1 of 2 mails came", 1)
        await box.call("GET", "/messages/wait?count=x", 400)
        await box.call("GET", "/messages/wait?timeout_seconds=1e9", 400)


async def test_refusals_are_planted_counted_and_taken_away() -> None:
    async with catcher(refuse="gone@example.com:550") as box:
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
            await box.send(mail("gone@example.com"))
        assert refused.value.recipients[0].code == 550
        await box.call("POST", "/refusals", json={"address": "Slow@example.com", "code": 451, "times": 1})
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await box.send(mail("slow@example.com"))
        await box.send(mail("slow@example.com"))
        await box.call("DELETE", "/refusals")
        await box.send(mail("gone@example.com"))
        assert [m["to"] for m in await box.call("GET", "/messages")] == ["slow@example.com", "gone@example.com"]
        await box.call("POST", "/refusals", json={"address": "*", "code": 421})
        with pytest.raises(aiosmtplib.SMTPException):
            await box.send(mail())


@pytest.mark.parametrize(
    ("body", "names"),
    [(b"{", "body"), (b'{"address": "a"}', "code"), (b'{"address": "a", "code": 250}', "code"), (b"[]", "body")],
)
async def test_wrong_refusal_is_named(body: bytes, names: str) -> None:
    async with catcher() as box:
        assert names in (await box.call("POST", "/refusals", 400, data=body))["error"]
        assert await box.call("GET", "/refusals") == []


async def test_oldest_mail_makes_room() -> None:
    async with catcher(max_messages=3) as box:
        for number in range(5):
            await box.send(mail(subject=f"mail {number}"))
        assert [m["subject"] for m in await box.call("GET", "/messages")] == ["mail 2", "mail 3", "mail 4"]
    async with catcher(max_bytes=20_000) as box:
        for number in range(5):
            large = mail(subject=f"mail {number}")
            large.add_attachment(os.urandom(5_000), maintype="application", subtype="pdf")
            await box.send(large)
        assert [m["subject"] for m in await box.call("GET", "/messages")] == ["mail 3", "mail 4"]


async def test_mail_over_the_size_limit_is_refused() -> None:
    async with catcher(max_message_bytes=2_000) as box:
        large = mail()
        large.add_attachment(os.urandom(5_000), maintype="application", subtype="pdf")
        with pytest.raises(aiosmtplib.SMTPException):
            await box.send(large)
        await box.send(mail())
        assert len(await box.call("GET", "/messages")) == 1


async def test_pages_show_the_mail_and_run_nothing_of_it() -> None:
    async with catcher() as box:
        assert "No mail yet" in await box.page("/")
        await box.send(ticket_mail())
        await box.send(mail("<script>@example.com", "<script>alert(1)</script>"))
        home = await box.page("/")
        assert home.index("&lt;script&gt;alert(1)") < home.index("Åse&#39;s tickets")
        assert "<script>" not in home
        page = await box.page("/mails/1")
        for text in ("VL9IHU-001-f3a2b1c0", "Tickets für Åse.pdf", "sandbox=", "/messages/1/attachments/0"):
            assert text in page
        async with box.http.get("/mails/1/html") as answer:
            assert answer.headers["Content-Security-Policy"].startswith("sandbox ")
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert 'src="data:image/png;base64,' in await answer.text()
        await box.call("GET", "/mails/99", 404)


async def test_long_lists_have_pages() -> None:
    async with catcher() as box:
        for number in range(101):
            await box.send(mail(subject=f"mail number {number}."))
        first = await box.page("/")
        assert "mail number 1." in first
        assert "mail number 0." not in first
        assert "before=2" in first
        assert "mail number 0." in await box.page("/?before=2")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00",
        b"Subject: =?utf-8?B?!!!?=\r\n\r\nx",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\nhello \xe5",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: text/html\r\n",
        b'To: "=?\r\nFrom: <<<>>>\r\nMessage-ID: <@@>\r\nDate: x\r\n\r\n',
        b"Content-Disposition: attachment; filename*=bad''%ff\r\n\r\nx",
    ],
)
def test_any_bytes_are_a_mail(raw: bytes) -> None:
    got = read_mail(1, to="a@b.co", sender="", received_at=0.0, raw=raw)
    assert got.raw == raw


async def test_bad_http_input_is_refused_in_json() -> None:
    async with catcher() as box:
        assert "error" in await box.call("GET", "/nothing", 404)
        assert "error" in await box.call("PUT", "/messages", 405)


async def start(**settings: str) -> asyncio.subprocess.Process:
    """Start the real process with these settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CATCHER_")}
    ports = {"CATCHER_HTTP_PORT": "0", "CATCHER_SMTP_PORT": "0"}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deploy.catcher",
        env={**environment, **ports, **settings},
        stdout=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def running(**settings: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Catcher]]:
    """Run the real process until the block ends."""
    process = await start(**settings)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            where = json.loads(await process.stdout.readline())
        async with aiohttp.ClientSession(where["url"]) as http:
            yield process, Catcher(http, where["smtp_port"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CATCHER_HTTP_PORT", "x"),
        ("CATCHER_SMTP_PORT", "-1"),
        ("CATCHER_MAX_MESSAGES", "0"),
        ("CATCHER_REFUSE", "nobody"),
        ("CATCHER_REFUSE", "a@b.co:250"),
    ],
)
async def test_wrong_setting_refuses_to_start_and_is_named(name: str, value: str) -> None:
    process = await start(**{name: value})
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    assert process.returncode == 2
    assert json.loads(output.splitlines()[0])["setting"] == name


@pytest.mark.parametrize("name", ["CATCHER_HTTP_PORT", "CATCHER_SMTP_PORT"])
async def test_taken_port_is_named(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await start(**{name: str(taken.getsockname()[1])})
        output, _ = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    assert process.returncode == 1
    assert name in output.decode()


async def test_ends_within_two_seconds_with_a_connection_and_a_wait_open() -> None:
    async with running() as (process, box):
        assert await box.call("GET", "/healthz") == {"status": "ok"}
        assert await box.call("GET", "/readyz") == {"status": "ok"}
        reader, writer = await asyncio.open_connection("127.0.0.1", box.smtp_port)
        assert (await reader.readline()).startswith(b"220 ")
        waiting = asyncio.create_task(box.call("GET", "/messages/wait?timeout_seconds=60"))
        await box.call("GET", "/messages")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 2) == 0
        with pytest.raises(aiohttp.ClientError):
            await waiting
        writer.close()


async def test_killed_catcher_keeps_its_mail(tmp_path: Path) -> None:
    path = tmp_path / "mail.jsonl"
    async with running(CATCHER_DATA_FILE=str(path)) as (process, box):
        for number in range(20):
            await box.send(mail(subject=f"mail {number}"))
        before = await box.call("GET", "/messages")
        process.kill()
        await process.wait()
    with path.open("ab") as file:
        file.write(b'{"id": 21, "to": "torn')
    async with running(CATCHER_DATA_FILE=str(path)) as (_, box):
        assert await box.call("GET", "/messages") == before
        await box.send(mail(subject="after"))
        after = await box.call("GET", "/messages")
        assert [m["subject"] for m in after[19:]] == ["mail 19", "after"]
        assert after[20]["id"] > after[19]["id"]
