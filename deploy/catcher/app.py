"""Puts the catcher together and serves it: SMTP and HTTP in one event loop."""

import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from aiohttp import web

from deploy.catcher.api import MAILBOX, MAX_BODY_BYTES, REFUSALS, add_api, json_response, problem
from deploy.catcher.mailbox import Mailbox, MailboxError
from deploy.catcher.refusals import Refusals
from deploy.catcher.settings import Settings
from deploy.catcher.smtp import Handler, SmtpServer
from deploy.catcher.web_pages import add_pages

_SHUTDOWN_SECONDS = 0.5


class StartError(RuntimeError):
    """The catcher cannot start; the message says why in plain words."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the catcher can be reached."""

    url: str
    smtp_host: str
    smtp_port: int


def log(message: str, **fields: object) -> None:
    """Write one JSON line to standard output."""
    line = {"time": datetime.now(UTC).isoformat(), "service": "catcher", "event": message, **fields}
    sys.stdout.write(orjson.dumps(line, default=str).decode() + "\n")
    sys.stdout.flush()


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as refused:
        if refused.status < 400:
            raise
        return problem(refused.status, refused.text or refused.reason)
    except MailboxError as error:
        return problem(500, str(error))


async def _healthy(_request: web.Request) -> web.Response:
    return json_response({"status": "ok"})


def make_app(mailbox: Mailbox, refusals: Refusals) -> web.Application:
    """Build the HTTP application."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors])
    app[MAILBOX] = mailbox
    app[REFUSALS] = refusals
    app.router.add_get("/healthz", _healthy)
    app.router.add_get("/readyz", _healthy)
    add_api(app)
    add_pages(app)
    return app


def bind(host: str, port: int, setting: str) -> socket.socket:
    """Take a port; 0 takes a free one. Raises `StartError`, which names the setting."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        # asyncio switches Nagle's delay off only for sockets that name their protocol.
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartError(f"CATCHER_HOST {host}: {error.strerror or error}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise StartError(f"{setting} {port} on {host}: {error.strerror or error}") from error
    return bound


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Addresses]:
    """Serve until the block ends. Raises `StartError`."""
    http_socket = bind(settings.host, settings.http_port, "CATCHER_HTTP_PORT")
    try:
        smtp_socket = bind(settings.host, settings.smtp_port, "CATCHER_SMTP_PORT")
    except StartError:
        http_socket.close()
        raise
    try:
        mailbox = Mailbox(settings.data_file, max_messages=settings.max_messages, max_bytes=settings.max_bytes)
    except MailboxError as error:
        http_socket.close()
        smtp_socket.close()
        raise StartError(str(error)) from error
    refusals = Refusals(settings.refuse)
    smtp = SmtpServer(Handler(mailbox, refusals), max_message_bytes=settings.max_message_bytes)
    runner = web.AppRunner(make_app(mailbox, refusals), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, http_socket).start()
        await smtp.start(smtp_socket)
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
        url_host = f"[{host}]" if ":" in host else host
        url = f"http://{url_host}:{http_socket.getsockname()[1]}"
        yield Addresses(url, host, smtp_socket.getsockname()[1])
    finally:
        await smtp.close()
        await runner.cleanup()
        mailbox.close()
