"""Server-sent events: an order's changes as they happen, through whatever replica the order was placed."""

import asyncio
from uuid import UUID

from aiohttp import web

from services.gateway.client import ServiceClient, Unavailable
from services.gateway.http import Api
from services.gateway.metrics import GatewayMetrics
from services.gateway.operations import FOLLOW_ORDER
from services.gateway.watching import Listener, Watches
from shared.contracts.orders import OrderChangedV1
from shared.http.problems import unavailable
from shared.http.routes import Route, route

#: Seconds a client may take to read what was sent before it is cut off.
WRITE_SECONDS = 10.0
#: Milliseconds after which a browser connects again.
RECONNECT_MILLISECONDS = 2000
#: Seconds between two tries to read the first view while orders is away.
READ_AGAIN_SECONDS = 2.0


class Streams:
    """All open streams."""

    def __init__(
        self,
        api: Api,
        client: ServiceClient,
        watches: Watches,
        metrics: GatewayMetrics,
        *,
        limit: int,
        heartbeat_seconds: float,
    ) -> None:
        self._api = api
        self._client = client
        self._watches = watches
        self._metrics = metrics
        self._limit = limit
        self._heartbeat_seconds = heartbeat_seconds
        self._open: set[Listener] = set()
        self._closing = False

    def routes(self) -> list[Route]:
        """Method and path."""
        return [route("GET", "/v1/orders/{order_id}/stream", self.get_stream, FOLLOW_ORDER, allow_head=False)]

    def close(self) -> None:
        """End all streams; browsers connect again, to another replica."""
        self._closing = True
        for listener in self._open:
            listener.wake()

    async def get_stream(self, request: web.Request) -> web.StreamResponse:
        """The order as it is now, then every change."""
        order_id = self._api.allowed_order(request)
        if self._closing or len(self._open) >= self._limit:
            raise unavailable("too many streams are open")
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
                # Proxies such as nginx hold small answers back otherwise.
                "X-Accel-Buffering": "no",
            }
        )
        with self._watches.listen(order_id) as listener:
            self._open.add(listener)
            self._metrics.streams.set(len(self._open))
            try:
                await response.prepare(request)
                await self._follow(request, response, listener)
            except (ConnectionError, TimeoutError):
                pass  # The reader has gone, or reads nothing any more.
            finally:
                self._open.discard(listener)
                self._metrics.streams.set(len(self._open))
        return response

    async def _follow(self, request: web.Request, response: web.StreamResponse, listener: Listener) -> None:
        await _write(response, f"retry: {RECONNECT_MILLISECONDS}\n\n")
        # Listening came first; what happens while this is read comes as a change with a higher version.
        version = await self._send_current(response, listener)
        while not self._closing:
            for view in listener.take():
                if view.version > version:
                    version = view.version
                    await self._send(response, listener.order_id, view)
            try:
                async with asyncio.timeout(self._heartbeat_seconds if version >= 0 else READ_AGAIN_SECONDS):
                    await listener.woken()
            except TimeoutError:
                if request.transport is None or request.transport.is_closing():
                    return
                if version < 0:
                    version = await self._send_current(response, listener)
                await _write(response, ": still here\n\n")

    async def _send_current(self, response: web.StreamResponse, listener: Listener) -> int:
        """Send what the owner says now; returns its version, -1 where the owner does not answer."""
        try:
            view = await self._client.get_order(listener.order_id)
        except Unavailable:
            if listener.view is None:
                return -1
            view = listener.view
        await self._send(response, listener.order_id, view)
        return 0 if view is None else view.version

    async def _send(self, response: web.StreamResponse, order_id: UUID, view: OrderChangedV1 | None) -> None:
        shown = self._api.show(order_id, view)
        await _write(response, f"id: {shown.version}\nevent: order\ndata: {shown.model_dump_json()}\n\n")


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(text.encode())
