"""Each service gives out its own document and a page to read it, without any engine and without another site."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest

from boxoffice.api_documents import FOLDER, build_server
from shared.contracts.registry import SERVICES, ServiceName
from shared.http.server import HttpServer


@asynccontextmanager
async def serving(service: ServiceName) -> AsyncIterator[tuple[HttpServer, aiohttp.ClientSession]]:
    """A service's server, without the service; and a client of it."""
    server = build_server(service, http_port=0)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
            yield server, client
    finally:
        await server.stop()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_gives_out_the_document_that_is_committed(service: ServiceName) -> None:
    async with serving(service) as (_, client), client.get("/openapi.json") as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert await answer.read() == (FOLDER / f"{service}.openapi.json").read_bytes()


@pytest.mark.parametrize("service", SERVICES)
async def test_the_page_needs_nothing_from_another_site(service: ServiceName) -> None:
    async with serving(service) as (_, client):
        async with client.get("/docs") as answer:
            page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
            assert (answer.status, answer.content_type) == (200, "text/html")
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert f"<title>Boxoffice: the interface of {service}</title>" in page
        assert "style=" not in page
        assert not re.search(r"<script>|\son\w+=|https?://", page)
        files = re.findall(r'(?:src|href)="(docs/[^"]+)"', page)
        assert len(files) == 4
        for name in files:
            async with client.get(f"/{name}") as answer:
                assert (answer.status, len(await answer.read()) > 200) == (200, True), name
                assert answer.content_type == ("text/css" if name.endswith(".css") else "text/javascript")
        for name in ("x.js", "..%2fdocuments.py", "swagger-ui.css.map", "%00"):
            async with client.get(f"/docs/{name}") as answer:
                assert (answer.status, answer.content_type) == (404, "application/problem+json"), name


async def test_the_document_is_made_once_and_not_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving("orders") as (server, client):
        made: list[str] = []
        make = server.documents.document

        def made_again() -> Any:
            made.append("made")
            return make()

        monkeypatch.setattr(server.documents, "document", made_again)
        async with client.get("/healthz") as answer:
            assert answer.status == 200
        assert made == []
        for _ in range(3):
            async with client.get("/openapi.json") as answer:
                assert orjson.loads(await answer.read())["info"]["title"] == "Boxoffice orders"
        assert made == ["made"]
