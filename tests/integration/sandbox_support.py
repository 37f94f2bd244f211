"""Runs the sandbox for a test, on a free port, with a receiver for its webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from deploy.sandbox.app import serving
from deploy.sandbox.settings import Settings

KEY = "sk_test_boxoffice"
WAIT_SECONDS = 10


@dataclass
class Receiver:
    """Takes webhooks, answers `codes` in turn and 200 after that, and keeps what came."""

    url: str = ""
    codes: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        """Keep one webhook."""
        self.bodies.append(await request.read())
        self.headers.append(dict(request.headers))
        self._came.set()
        return web.Response(status=self.codes.pop(0) if self.codes else 200)

    async def wait(self, count: int) -> list[dict[str, Any]]:
        """Return everything that came, once there are `count` of them."""
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.bodies) < count:
                self._came.clear()
                await self._came.wait()
        return [json.loads(body) for body in self.bodies]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Listen for webhooks on a free port."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()


@dataclass
class Sandbox:
    """A client of one running sandbox."""

    url: str
    http: aiohttp.ClientSession

    async def call(self, method: str, path: str, body: Any = None, status: int = 200, **options: Any) -> Any:
        """Make a call with the key and return its JSON, after checking the HTTP status."""
        if body is not None:
            options["json"] = body
        async with self.http.request(method, path, **options) as answer:
            text = await answer.text()
            assert answer.status == status, f"{method} {path}: {answer.status} {text}"
            return json.loads(text)

    async def initialize(self, reference: str, amount: Any = 20_000, **more: Any) -> Any:
        """Begin a transaction and return its data."""
        body = {"email": "ada@example.com", "amount": amount, "reference": reference, **more}
        return (await self.call("POST", "/transaction/initialize", body))["data"]

    async def pay(self, reference: str, amount: int = 20_000, **decision: Any) -> Any:
        """Begin a transaction and settle it; a success unless told otherwise."""
        await self.initialize(reference, amount)
        return await self.settle(reference, **decision)

    async def settle(self, reference: str, **decision: Any) -> Any:
        """Decide a transaction."""
        return await self.call("POST", f"/sandbox/transactions/{reference}", {"outcome": "success", **decision})

    async def verify(self, reference: str) -> Any:
        """Return the data of a known reference."""
        return (await self.call("GET", f"/transaction/verify/{reference}"))["data"]

    async def ledger(self) -> Any:
        """Return the sandbox's own books."""
        return await self.call("GET", "/sandbox/ledger")

    async def idle(self) -> None:
        """Wait until nothing moves any more."""
        await self.call("GET", f"/sandbox/idle?timeout_seconds={WAIT_SECONDS}")


@asynccontextmanager
async def sandbox(**settings: Any) -> AsyncIterator[Sandbox]:
    """Run a sandbox on a free port with settings of its own."""
    options = {"refund_seconds": 0.02, "webhook_retry_seconds": (0.01, 0.01), "webhook_timeout_seconds": 2, **settings}
    async with serving(Settings(port=0, **options)) as url:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with aiohttp.ClientSession(url, headers=headers, timeout=aiohttp.ClientTimeout(total=15)) as http:
            yield Sandbox(url, http)
