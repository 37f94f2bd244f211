"""A small stack for the gateway's tests: the real orders and inventory beside any number of gateways."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import orjson

from services.gateway.service import Gateway
from services.gateway.service import build as build_gateway
from services.gateway.settings import GatewaySettings
from services.inventory.service import build as build_inventory
from services.inventory.settings import InventorySettings
from services.orders.service import build as build_orders
from services.orders.settings import OrdersSettings
from shared.runtime.service import Service
from tests.harness import PATIENCE_SECONDS, running
from tests.samples import EVENT

SERVICE_TOKEN = "service-0123456789abcdef"
ADMIN_TOKENS = "organiser:organiser-0123456789"
TOKEN_KEYS = "k2:newest-0123456789abcdef,k1:oldest-0123456789abcdef"
#: A port on which nothing listens.
NOWHERE = "http://127.0.0.1:9"


def gateway_settings(amqp_url: str, namespace: str, **changes: Any) -> GatewaySettings:
    fields: dict[str, Any] = {
        "amqp_url": amqp_url,
        "namespace": namespace,
        "http_port": 0,
        "token_keys": TOKEN_KEYS,
        "service_token": SERVICE_TOKEN,
        "orders_url": NOWHERE,
        "inventory_url": NOWHERE,
        "payments_public_url": "https://pay.example",
        "public_url": "https://tickets.example",
        "wait_seconds": PATIENCE_SECONDS,
    }
    return GatewaySettings(**fields | changes)


@dataclass
class Answer:
    """An HTTP answer, read."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.text)


@dataclass
class Stack:
    """Running services, and a client."""

    amqp_url: str
    namespace: str
    orders: Service
    inventory: Service
    client: aiohttp.ClientSession
    gateways: list[Gateway] = field(default_factory=list)

    def settings(self, **changes: Any) -> GatewaySettings:
        fields = {
            "amqp_url": self.amqp_url,
            "namespace": self.namespace,
            "orders_url": f"http://127.0.0.1:{self.orders.http_port}",
            "inventory_url": f"http://127.0.0.1:{self.inventory.http_port}",
        }
        return gateway_settings(**fields | changes)

    @asynccontextmanager
    async def gateway(self, **changes: Any) -> AsyncIterator[Gateway]:
        """One more replica."""
        gateway = build_gateway(self.settings(**changes))
        async with running(gateway):
            self.gateways.append(gateway)
            yield gateway

    async def call(
        self,
        method: str,
        path: str,
        *,
        gateway: Gateway | None = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """One request to a replica, the first unless told otherwise."""
        port = (gateway or self.gateways[0]).http_port
        url = f"http://127.0.0.1:{port}{path}"
        more.setdefault("allow_redirects", False)
        async with asyncio.timeout(PATIENCE_SECONDS), self.client.request(method, url, headers=headers, **more) as got:
            return Answer(got.status, dict(got.headers), await got.text())

    async def check_out(
        self,
        *lines: tuple[UUID, int],
        gateway: Gateway | None = None,
        key: str | None = None,
        prefer: str | None = None,
        email: str = "ada@example.com",
        **more: Any,
    ) -> Answer:
        """Order places."""
        body = {"items": [{"tier_id": str(tier), "quantity": places} for tier, places in lines], "email": email, **more}
        headers = {"Idempotency-Key": key} if key else {}
        if prefer:
            headers["Prefer"] = prefer
        return await self.call("POST", "/v1/checkout", gateway=gateway, json=body, headers=headers)

    async def get_order(self, order: Any, *, gateway: Gateway | None = None) -> Answer:
        """The order of a checkout's answer."""
        return await self.call("GET", f"/v1/orders/{order['order_id']}", gateway=gateway, headers=bearer(order))

    async def add_tier(
        self,
        capacity: int = 100,
        *,
        price_kobo: int = 500_000,
        name: str = "Regular",
        most: int = 10,
        event_id: UUID = EVENT.id,
        title: str = EVENT.title,
        sale_starts_at: datetime | None = None,
    ) -> UUID:
        """A tier, with its event."""
        tier_id = uuid4()
        async with self.inventory.database.acquire() as connection:
            await connection.execute(
                "INSERT INTO events (id, title, venue, starts_at, ends_at, currency) "
                "VALUES ($1, $2, $3, $4, $5, 'NGN') ON CONFLICT DO NOTHING",
                event_id, title, EVENT.venue, EVENT.starts_at, EVENT.ends_at,
            )  # fmt: skip
            await connection.execute(
                "INSERT INTO tiers "
                "(id, event_id, name, price_kobo, capacity, available, max_per_order, sale_starts_at) "
                "VALUES ($1, $2, $3, $4, $5, $5, $6, $7)",
                tier_id, event_id, name, price_kobo, capacity, most, sale_starts_at,
            )  # fmt: skip
        return tier_id

    async def count_orders(self) -> int:
        async with self.orders.database.acquire() as connection:
            count: int = await connection.fetchval("SELECT count(*) FROM orders")
            return count

    async def taken(self, tier_id: UUID) -> int:
        """Places of a tier that are not available."""
        async with self.inventory.database.acquire() as connection:
            count: int = await connection.fetchval("SELECT capacity - available FROM tiers WHERE id = $1", tier_id)
            return count


def orders_of(amqp_url: str, namespace: str, database_url: str, **changes: Any) -> Service:
    fields: dict[str, Any] = {
        "database_url": database_url,
        "amqp_url": amqp_url,
        "namespace": namespace,
        "http_port": 0,
        "service_token": SERVICE_TOKEN,
        "admin_tokens": ADMIN_TOKENS,
    }
    return build_orders(OrdersSettings(**fields | changes))


def inventory_of(amqp_url: str, namespace: str, database_url: str, **changes: Any) -> Service:
    fields: dict[str, Any] = {
        "database_url": database_url,
        "amqp_url": amqp_url,
        "namespace": namespace,
        "http_port": 0,
        "admin_tokens": ADMIN_TOKENS,
    }
    return build_inventory(InventorySettings(**fields | changes))


@asynccontextmanager
async def make_stack(
    amqp_url: str, namespace: str, *, orders_database: str, inventory_database: str
) -> AsyncIterator[Stack]:
    """Orders and inventory, up and ready."""
    orders = orders_of(amqp_url, namespace, orders_database)
    inventory = inventory_of(amqp_url, namespace, inventory_database)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(orders, inventory))
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Stack(amqp_url, namespace, orders, inventory, client)


@asynccontextmanager
async def make_client_stack(
    amqp_url: str, namespace: str, orders: Service | None = None, inventory: Service | None = None
) -> AsyncIterator[Stack]:
    """A client for gateways; orders and inventory are not started, and may be missing."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as client:
        yield Stack(amqp_url, namespace, orders, inventory, client)  # type: ignore[arg-type]


def bearer(order: Any) -> dict[str, str]:
    """The header that reads an order."""
    return {"Authorization": f"Bearer {order['order_token']}"}


class Stream:
    """A reader of server-sent events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> dict[str, Any] | None:
        """The data of the next event; ``None`` when the stream has ended."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := (await self.response.content.readline()).decode():
                if line.startswith("data: "):
                    data: dict[str, Any] = orjson.loads(line.removeprefix("data: "))
                    return data
        return None

    async def until(self, status: str) -> dict[str, Any]:
        """The first event with this status."""
        while (one := await self.next()) is not None:
            if one["status"] == status:
                return one
        raise AssertionError(f"the stream ended before {status}")


class Cable:
    """A plug between a client and the broker that a test can pull."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def plug(self) -> None:
        """Pass connections on, on the same port as before."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def pull(self) -> None:
        """Cut all connections, and refuse new ones."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(_copy(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while octets := await source.read(65_536):
            target.write(octets)
            await target.drain()
    except OSError:
        pass
    finally:
        target.close()
