"""A service's HTTP server."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from shared.contracts.registry import ABOUT, ServiceName
from shared.http.documents import Documents
from shared.http.problems import problem_middleware
from shared.http.routes import Answer, Operation, Route, route, shows
from shared.runtime.metrics import Metrics

#: Octets a request's body may have, unless a route reads less.
MAX_BODY_BYTES = 64 * 1024


class HttpServer:
    """Serves routes with health, readiness, metrics and their documentation beside them."""

    def __init__(
        self,
        name: ServiceName,
        host: str,
        port: int,
        routes: Sequence[Route],
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
        self.documents = Documents(name, ABOUT[name], [*routes, *self._routes()])
        # The gateway's last route takes every address that is no other's.
        self.app.add_routes(one.definition() for one in (*self._routes(), *self.documents.routes(), *routes))

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

    def _routes(self) -> list[Route]:
        def plain(summary: str, *answers: Answer) -> Operation:
            return Operation(summary, answers, needs_engines=False, tag="For operators")

        ready = shows(200, "It does.", "text/plain", example="ready\n")
        unready = shows(503, "What is missing.", "text/plain", example="RabbitMQ is not connected\n")
        figures = shows(200, "The figures.", "text/plain", example="boxoffice_outbox_pending 0.0\n")
        return [
            route(
                "GET",
                "/healthz",
                self._healthz,
                plain("Whether the process is alive", shows(200, "It is.", "text/plain", example="alive\n")),
            ),
            route("GET", "/readyz", self._readyz, plain("Whether this replica can do its work", ready, unready)),
            route("GET", "/metrics", self._metricsz, plain("Figures for Prometheus", figures)),
        ]

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reason = await self._why_not_ready()
        return web.Response(text="ready\n" if reason is None else f"{reason}\n", status=200 if reason is None else 503)

    async def _metricsz(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )
