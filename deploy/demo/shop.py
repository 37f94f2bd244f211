"""What a buyer's browser does, and what a card company does: over HTTP only."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

import aiohttp

#: Seconds for one request.
TIMEOUT_SECONDS = 30.0
#: Between two looks at an order.
POLL_SECONDS = 0.1


class ShopError(RuntimeError):
    """An answer that no buyer should get."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def order_id(self) -> UUID:
        """The order's id."""
        return UUID(self.body["order_id"])

    @property
    def token(self) -> str:
        """The order's token."""
        return str(self.body["order_token"])

    @property
    def won(self) -> bool:
        """Whether places are held."""
        return self.status == 201


class Shop:
    """Talks to the gateway, follows pay links, and settles charges at the Paystack sandbox."""

    def __init__(self, session: aiohttp.ClientSession, gateway_url: str, sandbox_url: str) -> None:
        self._session = session
        self._gateway = gateway_url
        self._sandbox = sandbox_url

    @classmethod
    @asynccontextmanager
    async def open(cls, gateway_url: str, sandbox_url: str) -> AsyncIterator[Self]:
        """A shop with a session of its own."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=400)) as session:
            yield cls(session, gateway_url, sandbox_url)

    async def events(self) -> list[dict[str, Any]]:
        """The catalogue."""
        answer = await self.get(f"{self._gateway}/v1/events")
        events: list[dict[str, Any]] = answer.body["events"]
        return events

    async def checkout(
        self,
        *lines: tuple[UUID | str, int],
        email: str = "ada@example.com",
        key: str | None = None,
        prefer: str | None = None,
        **more: Any,
    ) -> Answer:
        """Ask for places (tier, quantity). ``more`` goes into the body as it is: what a client should not say."""
        headers = {}
        if key is not None:
            headers["Idempotency-Key"] = key
        if prefer is not None:
            headers["Prefer"] = prefer
        items = [{"tier_id": str(tier_id), "quantity": places} for tier_id, places in lines]
        return await self.request(
            "POST", f"{self._gateway}/v1/checkout", json={"items": items, "email": email, **more}, headers=headers
        )

    async def order(self, order_id: UUID, token: str) -> dict[str, Any]:
        """The buyer's view of an order. Raises ShopError when it is refused.

        "Not at the moment" (503) is no refusal: a browser asks again, and so does this, for as long as one may take.
        """
        deadline = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
        headers = {"Authorization": f"Bearer {token}"}
        while True:
            answer = await self.get(f"{self._gateway}/v1/orders/{order_id}", headers=headers)
            if answer.status == 200:
                return dict(answer.body)
            if answer.status != 503 or asyncio.get_running_loop().time() > deadline:
                raise ShopError(f"the order cannot be read: {answer.status} {dict(answer.body)}")
            await asyncio.sleep(POLL_SECONDS)

    async def cancel(self, order_id: UUID, token: str) -> Answer:
        """Give an order up."""
        headers = {"Authorization": f"Bearer {token}"}
        return await self.request("DELETE", f"{self._gateway}/v1/orders/{order_id}", headers=headers)

    async def until(
        self, order_id: UUID, token: str, statuses: Collection[str], timeout_seconds: float, *, tickets: bool = False
    ) -> dict[str, Any]:
        """Follow an order until it has one of ``statuses`` (and its tickets). Raises ShopError after the time-out."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while True:
            order = await self.order(order_id, token)
            if order["status"] in statuses and (order.get("tickets") or not tickets):
                return order
            if asyncio.get_running_loop().time() > deadline:
                raise ShopError(f"order {order_id} is still {order['status']} after {timeout_seconds} s")
            await asyncio.sleep(POLL_SECONDS)

    async def click(self, payment_url: str) -> Answer:
        """Follow a pay link as a program does; ``reference`` names the attempt."""
        return await self.get(payment_url, headers={"Accept": "application/json"})

    async def settle(self, reference: str, outcome: str = "success", **decision: Any) -> Answer:
        """What happens at the bank. ``webhooks`` counts copies (0 is lost), ``amount`` another sum than was asked."""
        url = f"{self._sandbox}/sandbox/transactions/{reference}"
        return await self.request("POST", url, json={"outcome": outcome, **decision})

    async def come_back(self, payments_url: str, reference: str) -> Answer:
        """Be redirected from Paystack's page to ours."""
        return await self.get(
            f"{payments_url}/payments/callback?trxref={reference}&reference={reference}", allow_redirects=False
        )

    async def pay(self, order: Answer, **decision: Any) -> str:
        """Click the link and pay; returns the reference. Raises ShopError when the link gives no page."""
        clicked = await self.click(order.body["payment_url"])
        if clicked.status != 200:
            raise ShopError(f"the pay link gave {clicked.status}: {dict(clicked.body)}")
        reference = str(clicked.body["reference"])
        settled = await self.settle(reference, **decision)
        if settled.status != 200:
            raise ShopError(f"the sandbox refused the charge: {settled.status} {dict(settled.body)}")
        return reference

    async def ledger(self) -> dict[str, Any]:
        """The sandbox's own books."""
        return dict((await self.get(f"{self._sandbox}/sandbox/ledger")).body)

    async def get(self, url: str, **options: Any) -> Answer:
        """GET."""
        return await self.request("GET", url, **options)

    async def request(self, method: str, url: str, **options: Any) -> Answer:
        """Any request; a body that is no JSON object is given as ``{"text": ...}``."""
        async with self._session.request(method, url, **options) as response:
            if "json" in response.content_type:
                body = await response.json(content_type=None)
            else:
                body = {"text": await response.text()}
            return Answer(response.status, body if isinstance(body, dict) else {"items": body}, response.headers)
