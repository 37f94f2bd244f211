"""The service's OpenAPI document and the page to read it: Swagger UI, served from here, so that it works offline."""

import asyncio
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from shared.http.problems import Problem
from shared.http.routes import Operation, Parameter, Route, gives, refuses, route, shows

_PAGES = Path(__file__).with_name("pages")
_OF_SWAGGER = frozenset({"swagger-ui.css", "swagger-ui-bundle.js"})
_OF_OURS = frozenset({"docs.css", "docs.js"})

#: Swagger UI draws its icons from data: addresses and styles through scripts; it needs nothing from anywhere else.
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TAG = "This interface"


class Documents:
    """``about`` says in a sentence or two what the service is for; ``others`` are all its other routes."""

    def __init__(self, name: str, about: str, others: Sequence[Route]) -> None:
        self._name = name
        self._about = about
        self._others = others
        self._document: asyncio.Future[bytes] | None = None

    def routes(self) -> list[Route]:
        """The document, the page, and what the page is made of."""
        file_name = Parameter("name", "path", "A file of the page.", str, "docs.js")
        return [
            route(
                "GET",
                "/openapi.json",
                self.get_document,
                Operation(
                    "This document",
                    (gives(200, dict[str, Any], "OpenAPI 3.1.", example={"openapi": "3.1.1"}),),
                    needs_engines=False,
                    tag=_TAG,
                    name="getOpenApi",
                ),
            ),
            route(
                "GET",
                "/docs",
                self.get_page,
                Operation(
                    "A page to read this document, and to try it",
                    (shows(200, "The page."),),
                    needs_engines=False,
                    tag=_TAG,
                    name="getDocs",
                ),
            ),
            route(
                "GET",
                "/docs/{name}",
                self.get_file,
                Operation(
                    "What that page is made of",
                    (
                        shows(200, "The file.", "text/css"),
                        shows(200, "The file.", "text/javascript"),
                        refuses(404, "No such file.", "not_found"),
                    ),
                    parameters=(file_name,),
                    needs_engines=False,
                    tag=_TAG,
                    name="getDocsFile",
                ),
            ),
        ]

    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        # Only who asks for the document pays for what makes it.
        from shared.http.openapi import make_document  # noqa: PLC0415

        return make_document(self._name, self._about, [*self._others, *self.routes()])

    async def get_document(self, _: web.Request) -> web.Response:
        """The document, made at the first request in a thread, so that nobody else waits for it."""
        if self._document is None:
            self._document = asyncio.ensure_future(asyncio.to_thread(self._render))
        body = await asyncio.shield(self._document)
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-cache"})

    async def get_page(self, _: web.Request) -> web.Response:
        """The page."""
        text = (_PAGES / "docs.html").read_text(encoding="utf-8").replace("{name}", self._name)
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _CSP})

    async def get_file(self, request: web.Request) -> web.StreamResponse:
        """Sent from the disk: a megabyte and a half of scripts has no place in a service's memory."""
        name = request.match_info["name"]
        folder = _PAGES if name in _OF_OURS else _swagger_folder() if name in _OF_SWAGGER else None
        if folder is None:
            raise Problem(404, "not_found", "no such file")
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        headers = {"Content-Type": f"{kind}; charset=utf-8", "Cache-Control": "no-cache"}
        return web.FileResponse(folder / name, headers=headers)

    def _render(self) -> bytes:
        from shared.http.openapi import render  # noqa: PLC0415

        return render(self.document())


def _swagger_folder() -> Path:
    """Where the package swagger-ui-py keeps Swagger UI; its own code is for other servers and is not loaded."""
    found = importlib.util.find_spec("swagger_ui")
    assert found is not None and found.origin is not None, "swagger-ui-py is not installed"  # noqa: PT018
    return Path(found.origin).parent / "static"
