"""A service's HTTP server."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from shared.http.problems import problem_middleware
from shared.runtime.metrics import Metrics

#: Octets a request's body may have, unless a route reads less.
MAX_BODY_BYTES = 64 * 1024


class HttpServer:
    """Serves routes with health, readiness and metrics beside them."""

    def __init__(
        self,
        host: str,
        port: int,
        routes: Iterable[web.AbstractRouteDef],
        *,
        metrics: Metrics,
        why_not_ready: Callable[[], Awaitable[str | None]],
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._host = host
        self._port = port
        self._metrics = metrics
        self._why_not_ready = why_not_ready
        self._runner: web.AppRunner | None = None
        self.app = web.Application(middlewares=[problem_middleware], client_max_size=max_body_bytes)
        self.app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metricsz),
                *routes,
            ]
        )

    @property
    def port(self) -> int:
        """The port in use; differs from the setting when that is 0."""
        assert self._runner is not None, "the server has not started"
        port: int = self._runner.addresses[0][1]
        return port

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._runner = web.AppRunner(
            self.app,
            handle_signals=False,
            access_log=None,
            shutdown_timeout=5.0,
            handler_cancellation=False,
            # A kilobyte could become a gigabyte, and a signature is over the octets that came.
            auto_decompress=False,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port, backlog=1024, reuse_address=True).start()

    async def stop(self) -> None:
        """Accept no more, give open requests 5 seconds, close."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await asyncio.wait_for(runner.cleanup(), 10)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reason = await self._why_not_ready()
        return web.Response(text="ready\n" if reason is None else f"{reason}\n", status=200 if reason is None else 503)

    async def _metricsz(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )
