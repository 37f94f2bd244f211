"""Puts the sandbox together and serves it."""

import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import orjson
from aiohttp import web

from deploy.sandbox.api import add_api
from deploy.sandbox.bank import Bank
from deploy.sandbox.checkout import add_pages
from deploy.sandbox.control import add_control
from deploy.sandbox.journal import JournalError
from deploy.sandbox.refusals import ROUTE_NOT_FOUND, bad_value
from deploy.sandbox.replies import BANK, MAX_BODY_BYTES, TRAFFIC, json_response
from deploy.sandbox.settings import Settings
from deploy.sandbox.traffic import Traffic

_SHUTDOWN_SECONDS = 1.0


class StartError(RuntimeError):
    """The sandbox cannot start; the message says why in plain words."""


def log(message: str, **fields: object) -> None:
    """Write one JSON line to standard output."""
    line = {"time": datetime.now(UTC).isoformat(), "service": "sandbox", "event": message, **fields}
    sys.stdout.write(orjson.dumps(line, default=str).decode() + "\n")
    sys.stdout.flush()


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return json_response(ROUTE_NOT_FOUND.envelope(), 404)
    except web.HTTPException as refused:
        if refused.status < 400:
            raise
        message = refused.text or refused.reason
        allow = {"Allow": refused.headers["Allow"]} if "Allow" in refused.headers else None
        return json_response(bad_value(message, refused.status).envelope(), refused.status, allow)
    except JournalError as error:
        log("the ledger cannot be written", error=str(error))
        return json_response(bad_value(str(error), 500).envelope(), 500)


async def _healthy(_request: web.Request) -> web.Response:
    return json_response({"status": "ok"})


def make_app(settings: Settings, public_url: str) -> web.Application:
    """Build the application. Raises `JournalError` if the data file cannot be opened."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors])
    app[BANK] = Bank(settings, public_url)
    app[TRAFFIC] = Traffic(settings.rate_limit_per_minute)
    app.router.add_get("/healthz", _healthy)
    app.router.add_get("/readyz", _healthy)
    add_api(app)
    add_control(app)
    add_pages(app)
    app.on_startup.append(_start)
    app.on_shutdown.append(_release)
    app.on_cleanup.append(_close)
    return app


async def _start(app: web.Application) -> None:
    await app[BANK].start()


async def _release(app: web.Application) -> None:
    # Calls that a fault holds back would otherwise keep the process alive.
    app[TRAFFIC].release()


async def _close(app: web.Application) -> None:
    await app[BANK].close()


def bind(host: str, port: int) -> socket.socket:
    """Take the port; 0 takes a free one. Raises `StartError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        # asyncio switches Nagle's delay off only for sockets that name their protocol.
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartError(f"SANDBOX_HOST {host}: {error.strerror or error}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise StartError(f"SANDBOX_PORT {port} on {host}: {error.strerror or error}") from error
    return bound


def _own_url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{reachable}:{port}"


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """Serve until the block ends; yields the public address. Raises `StartError`."""
    bound = bind(settings.host, settings.port)
    url = settings.public_url or _own_url(settings.host, bound.getsockname()[1])
    try:
        app = make_app(settings, url)
    except JournalError as error:
        bound.close()
        raise StartError(str(error)) from error
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, bound, backlog=1024).start()
        yield url
    finally:
        await runner.cleanup()
