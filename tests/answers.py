"""What running services answer, compared with their OpenAPI documents: every answer of every operation."""

import copy
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import hdrs, web
from jsonschema import Draft202012Validator, FormatChecker

from shared.contracts.registry import ServiceName
from shared.http.problems import CONTENT_TYPE as PROBLEM
from shared.http.routes import Handler
from shared.http.server import HttpServer

#: Service, operation, status, then the content type or the problem's code.
Case = tuple[str, str, int, str]
NO_BODY = "nothing"


@dataclass
class Answers:
    """Listens to servers: ``watch`` each before it starts; ``faults`` tells what was wrong, ``seen`` what was seen."""

    seen: set[Case] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    documents: dict[ServiceName, dict[str, Any]] = field(default_factory=dict)
    _checkers: dict[tuple[ServiceName, str], Draft202012Validator] = field(default_factory=dict)

    def watch(self, service: ServiceName, server: HttpServer) -> None:
        """Compare everything this server answers from now on."""
        document = server.documents.document()
        self.documents[service] = closed(document)

        @web.middleware
        async def listen(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                response = await handler(request)
            except web.HTTPException as answered:
                # How a handler redirects; problems are answers by now.
                await self._compare(service, request, answered)
                raise
            await self._compare(service, request, response)
            return response

        server.app.middlewares.insert(0, listen)

    def documented(self) -> set[Case]:
        """Everything the documents say that services answer."""
        return {
            (service, name, int(status), kind)
            for service, document in self.documents.items()
            for name, operation in operations(document)
            for status, response in operation["responses"].items()
            for kind in kinds_of(response)
        }

    async def _compare(self, service: ServiceName, request: web.Request, response: web.StreamResponse) -> None:
        resource = request.match_info.route.resource
        if resource is None or request.method in {hdrs.METH_HEAD, hdrs.METH_OPTIONS}:
            return
        name = f"{request.method} {resource.canonical}"
        operation = dict(operations(self.documents[service])).get(name)
        if operation is None:
            self.faults.append(f"{service} {name} is in no document")
            return
        said = operation["responses"].get(str(response.status))
        what = f"{service} {name} {response.status}"
        if said is None:
            self.faults.append(f"{what} is not documented: {str(getattr(response, 'text', ''))[:200]}")
            return
        absent = [
            header
            for header, of in said.get("headers", {}).items()
            if of["required"] and header not in response.headers
        ]
        self.faults += [f"{what} has no header {header}" for header in absent]
        self._compare_body(service, name, what, said, response)
        if response.status < 300:
            await self._compare_request(service, what, operation, request)

    def _compare_body(
        self, service: ServiceName, name: str, what: str, said: Mapping[str, Any], response: web.StreamResponse
    ) -> None:
        body = response.body if isinstance(response, web.Response) else None
        if isinstance(body, bytes) and response.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        # What stands beside a Location is for browsers that follow none.
        is_bare = 300 <= response.status < 400 and "content" not in said
        if is_bare or (isinstance(response, web.Response) and not body):
            if "content" in said and NO_BODY not in kinds_of(said):
                self.faults.append(f"{what} has no body")
            self.seen.add((service, name, response.status, NO_BODY))
            return
        kind = response.content_type
        content = said.get("content", {}).get(kind)
        if content is None:
            self.faults.append(f"{what} has the undocumented type {kind}")
            return
        if "json" not in kind or not isinstance(body, bytes):
            self.seen.add((service, name, response.status, kind))
            return
        value = orjson.loads(body)
        self.faults += [f"{what}: {fault}" for fault in self._check(service, content["schema"], value)]
        self.seen.add((service, name, response.status, value["code"] if kind == PROBLEM else kind))

    async def _compare_request(
        self, service: ServiceName, what: str, operation: Mapping[str, Any], request: web.Request
    ) -> None:
        """What was accepted is what the document asks for; a document must not be narrower than its service."""
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        body = await request.read() if content is not None else b""
        if body and content is not None:
            value = orjson.loads(body)
            self.faults += [f"{what} took {fault}" for fault in self._check(service, content["schema"], value)]

    def _check(self, service: ServiceName, schema: Mapping[str, Any], value: Any) -> Iterator[str]:
        key = (service, orjson.dumps(schema).decode())
        if key not in self._checkers:
            whole = {**schema, "components": self.documents[service]["components"]}
            self._checkers[key] = Draft202012Validator(whole, format_checker=FormatChecker())
        for error in self._checkers[key].iter_errors(value):
            yield f"{error.json_path}: {error.message}"[:300]


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each operation of a document with its name for people: ``GET /v1/events``."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def kinds_of(response: Mapping[str, Any]) -> Iterator[str]:
    """What a documented answer may carry: content types, and of problem documents the codes."""
    content = response.get("content", {})
    for kind, said in content.items():
        if kind == PROBLEM:
            yield from said["examples"]
        else:
            yield kind
    if not content:
        yield NO_BODY


def closed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with every named model closed, so that a field nobody described is a fault."""
    made: dict[str, Any] = copy.deepcopy(dict(document))
    for schema in made["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return made
