"""Reading orders and the catalogue from the services that own them."""

from collections.abc import Sequence
from uuid import UUID

import aiohttp
import structlog
from pydantic import BaseModel, ValidationError

from services.gateway.models import CatalogueEvent
from shared.contracts.orders import OrderChangedV1

_log = structlog.get_logger()

#: Connections to each service at once; further reads wait for one of them, within their time.
MAX_CONNECTIONS = 32


class Unavailable(Exception):
    """A service did not answer, or not in a way that can be understood."""


class _EventList(BaseModel):
    events: tuple[CatalogueEvent, ...]


class ServiceClient:
    """A client of orders' and inventory's internal interfaces. Open it inside the event loop."""

    def __init__(self, *, orders_url: str, inventory_url: str, token: str, read_seconds: float) -> None:
        self._orders_url = orders_url
        self._inventory_url = inventory_url
        self._token = token
        self._read_seconds = read_seconds
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the pool of connections; nothing is connected yet."""
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._token}"},
            connector=aiohttp.TCPConnector(limit_per_host=MAX_CONNECTIONS, limit=2 * MAX_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def get_order(self, order_id: UUID, *, timeout_seconds: float | None = None) -> OrderChangedV1 | None:
        """The order as its owner sees it now; ``None`` where orders does not know it (yet). Raises Unavailable."""
        body = await self._get(f"{self._orders_url}/v1/orders/{order_id}", timeout_seconds or self._read_seconds)
        try:
            return None if body is None else OrderChangedV1.model_validate_json(body)
        except ValidationError as error:
            raise Unavailable(f"orders answered what is no order: {error.error_count()} errors") from error

    async def list_events(self) -> Sequence[CatalogueEvent]:
        """All events with their tiers. Raises Unavailable."""
        body = await self._get(f"{self._inventory_url}/v1/events", self._read_seconds)
        if body is None:
            raise Unavailable("inventory has no list of events")
        try:
            return _EventList.model_validate_json(body).events
        except ValidationError as error:
            raise Unavailable(f"inventory answered what is no list of events: {error}") from error

    async def _get(self, url: str, timeout_seconds: float) -> bytes | None:
        assert self._session is not None, "the client is not open"
        try:
            timeout = aiohttp.ClientTimeout(total=timeout_seconds)
            async with self._session.get(url, timeout=timeout, allow_redirects=False) as response:
                if response.status == 404:
                    return None
                if response.status != 200:
                    raise Unavailable(f"{url} answered {response.status}")
                return await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("a service does not answer", url=url, error=f"{type(error).__name__}: {error}")
            raise Unavailable(f"{url}: {type(error).__name__}") from error
