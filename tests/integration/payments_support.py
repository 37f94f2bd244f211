"""Runs payments against a real sandbox and a real database, without a broker: what it gives out stays in the outbox."""

import hashlib
import hmac
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from services.payments.service import PaymentsService, build
from services.payments.settings import PaymentsSettings
from shared.contracts.inventory import StockReservedV1
from shared.contracts.orders import RefundRequestedV1
from shared.contracts.payments import PaymentConfirmedV1
from shared.contracts.reaper import DeadlinePassedV1
from shared.http.tokens import Tokens
from tests.harness import PATIENCE_SECONDS, Bench
from tests.integration.sandbox_support import KEY, Sandbox, sandbox
from tests.samples import in_seconds, reserved
from tests.waiting import until

TOKEN_KEYS = "k1:0123456789abcdef"
OPERATOR = "operator-0123456789"
TOKENS = Tokens({"k1": b"0123456789abcdef"})
STOREFRONT = "http://storefront.example"
#: Every fallback poll and every pause that a test does not ask for; nothing may wait for one.
NEVER = 3600.0


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def settings(database_url: str, **changes: Any) -> PaymentsSettings:
    """Settings with every poll far away, so that what a test sees was woken and not polled."""
    fields: dict[str, Any] = {
        "database_url": database_url,
        "amqp_url": "amqp://nobody@127.0.0.1:1/",
        "http_port": 0,
        "poll_seconds": NEVER,
        "ask_again_seconds": NEVER,
        "ask_again_most_seconds": NEVER,
        "token_keys": TOKEN_KEYS,
        "admin_tokens": f"operator:{OPERATOR},gate:gate-0123456789abc",
        "paystack_url": "http://127.0.0.1:1",
        "paystack_secret_keys": KEY,
        "paystack_timeout_seconds": 5.0,
        "public_url": "http://payments.example",
        "storefront_url": STOREFRONT,
        "link_wait_seconds": 0.2,
        "refund_poll_seconds": 0.05,
        "refund_poll_most_seconds": 0.2,
        "refund_lookup_seconds": 0.05,
        "verify_closing_seconds": 0.05,
        "verify_closing_most_seconds": 0.1,
        "sweep_every_seconds": NEVER,
        "drain_seconds": 5.0,
    }
    return PaymentsSettings(**fields | changes)


@dataclass
class Till:
    """Payments, its bench, Paystack's sandbox, and a browser that follows no redirect."""

    service: PaymentsService
    bench: Bench
    paystack: Sandbox
    http: aiohttp.ClientSession

    async def order(self, order_id: UUID | None = None, **changes: Any) -> StockReservedV1:
        """An order that can be paid for a quarter of an hour, unless told otherwise."""
        one = reserved(order_id or uuid4(), **{"expires_at": in_seconds(900), **changes})
        await self.bench.deliver(one)
        return one

    async def click(self, order_id: UUID, *, accept: str = "application/json", status: int = 200) -> Any:
        """Open the link to pay; the JSON, or the page's text for a browser."""
        path = f"/pay/{order_id}?token={TOKENS.make('pay', order_id)}"
        async with self.http.get(path, headers={"Accept": accept}, allow_redirects=False) as answer:
            text = await answer.text()
            assert answer.status == status, f"{answer.status} {text}"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            return text if "text/html" in accept else json.loads(text or "null")

    async def come_back(self, reference: str, *, status: int = 303) -> str:
        """Return from Paystack's page; where the buyer is sent next."""
        query = {"reference": reference, "trxref": reference}
        async with self.http.get("/payments/callback", params=query, allow_redirects=False) as answer:
            assert answer.status == status, await answer.text()
            return answer.headers.get("Location", "")

    async def webhook(self, event: str, data: Any, *, key: str = KEY, status: int = 200) -> None:
        """Send a webhook as Paystack would."""
        await self.webhook_raw(json.dumps({"event": event, "data": data}).encode(), key=key, status=status)

    async def webhook_raw(self, body: bytes, *, key: str = KEY, status: int = 200) -> None:
        """Send any octets, signed."""
        signature = hmac.new(key.encode(), body, hashlib.sha512).hexdigest()
        headers = {"x-paystack-signature": signature, "Content-Type": "application/json"}
        async with self.http.post("/webhooks/paystack", data=io.BytesIO(body), headers=headers) as answer:
            assert answer.status == status, await answer.text()

    async def operator(self, path: str) -> Any:
        """What an operator sees."""
        async with self.http.get(path, headers={"Authorization": f"Bearer {OPERATOR}"}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def cases(self) -> list[tuple[str, str]]:
        """Kind and charge of every open case."""
        return [(one["kind"], one["charge_id"]) for one in (await self.operator("/v1/admin/cases"))["cases"]]

    async def plant(self, **faults: Any) -> None:
        """Plant faults in the sandbox."""
        await self.paystack.call("POST", "/sandbox/faults", faults)

    async def heal(self) -> None:
        """Take all faults away."""
        await self.paystack.call("DELETE", "/sandbox/faults")

    async def given_out(self, *models: Any) -> list[Any]:
        """What was given out since the last call."""
        return await self.bench.given_out(*models)

    async def wait_for(self, model: Any, count: int = 1) -> list[Any]:
        """Wait until so many events of a type were given out in all; returns them."""

        async def there() -> list[Any]:
            self.bench._seen = 0
            found = await self.bench.given_out(model)
            return found if len(found) >= count else []

        return await until(there, PATIENCE_SECONDS, f"{count} {model.__name__}")


def passed(one: StockReservedV1) -> DeadlinePassedV1:
    """The deadline of an order."""
    return DeadlinePassedV1(order_id=one.order_id, expires_at=one.expires_at)


def refund_of(one: PaymentConfirmedV1, **changes: Any) -> RefundRequestedV1:
    """The request to give a charge back."""
    fields: dict[str, Any] = {
        "order_id": one.order_id,
        "charge_id": one.charge_id,
        "reference": one.reference,
        "amount_kobo": one.amount_kobo,
        "currency": one.currency,
        "purpose": "late",
        "email": "ada@example.com",
        "why": "the order had ended",
    }
    return RefundRequestedV1(**fields | changes)


async def end(moment: datetime) -> None:
    """Wait until a moment that is at most seconds away is over."""
    await until(lambda: in_seconds(0) > moment, 10, f"{moment} is over")


@asynccontextmanager
async def till(database_url: str, *, paystack: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[Till]:
    """Run both; webhooks go from one to the other."""
    port = free_port()
    hook = f"http://127.0.0.1:{port}/webhooks/paystack"
    async with sandbox(webhook_url=hook, **(paystack or {})) as peer:
        service = build(settings(database_url, http_port=port, **{"paystack_url": peer.url, **changes}))
        await service.start()
        try:

            async def is_ready() -> bool:
                return await service.why_not_ready() is None

            assert await until(is_ready, PATIENCE_SECONDS, "payments is ready without a broker")
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
                one = Till(service, Bench(service), peer, http)
                try:
                    yield one
                finally:
                    # Another one by now, where the test started it again.
                    service = one.service
        finally:
            await service.stop()
