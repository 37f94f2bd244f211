"""Routes declared together with their documentation: no route is registered without it.

``route("GET", "/v1/events/{event_id}", self.get_event, Operation("One event", answers=(...)))`` is one line of what the
service answers and one entry of its OpenAPI document; `shared/http/openapi.py` makes the document out of all of them.
What follows from the declaration is not repeated in it: a JSON body brings 400, 413, 415 and 422, roles bring 401 and
403, and 503 is there unless ``needs_engines`` is false.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self
from uuid import UUID

from aiohttp import web

from shared.http.problems import CONTENT_TYPE as PROBLEM

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Role = Literal["organiser", "operator", "gate", "supervisor", "service"]

JSON = "application/json"
HTML = "text/html"

#: An id in an example.
SAMPLE_ID = "018f3f5e-7c1a-7b7e-9d2f-1f6a5b0c9d10"


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a request carries besides its body. ``type`` is any type that pydantic can describe."""

    name: str
    where: Literal["path", "query", "header"]
    text: str
    type: Any = str
    example: Any = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a request shows that it may: OpenAPI's security scheme, by name."""

    name: str
    document: Mapping[str, Any]


#: A token of one of the roles, as the settings name them (``..._ADMIN_TOKENS``).
ROLE_TOKEN = Scheme("role_token", {"type": "http", "scheme": "bearer", "description": "The token of a role."})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: a status with one content type. An operation may have several of one status.

    ``model`` is any type that pydantic can describe. ``example`` is a value, or a function that makes it; without one
    an answer shows the model's own.
    ``headers`` name those it always has. ``codes`` are the words a problem may carry, ``members`` what else is in it.
    """

    status: int
    text: str
    content_type: str | None = None
    model: Any = None
    example: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    codes: tuple[str, ...] = ()
    members: Mapping[str, Any] = field(default_factory=dict)


def gives(
    status: int, model: Any, text: str, *, example: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """JSON of this model."""
    return Answer(status, text, JSON, model, example, headers or {})


def refuses(
    status: int,
    text: str,
    *codes: str,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> Answer:
    """A problem document with one of these codes; ``members`` are an example of what more it says."""
    assert codes, "a problem has a code"
    return Answer(status, text, PROBLEM, headers=headers or {}, codes=codes, members=members or {})


def shows(
    status: int,
    text: str,
    content_type: str = HTML,
    *,
    example: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """A page, an image, plain text."""
    return Answer(status, text, content_type, str, example, headers or {})


def says(status: int, text: str, *, headers: Mapping[str, str] | None = None) -> Answer:
    """A status without a body."""
    return Answer(status, text, headers=headers or {})


def redirects(status: int, text: str) -> Answer:
    """Nothing but another address."""
    return Answer(status, text, headers={"Location": "Where to go on."})


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route does, for whoever calls it. ``name`` is its id, made from the handler's name if not given."""

    summary: str
    answers: tuple[Answer, ...]
    text: str = ""
    body: Any = None
    body_type: str = JSON
    body_example: Any = None
    body_required: bool = True
    parameters: tuple[Parameter, ...] = ()
    roles: tuple[Role, ...] = ()
    schemes: tuple[Scheme, ...] = ()
    needs_engines: bool = True
    tag: str = ""
    name: str = ""

    def taking(self, body: Any) -> Self:
        """The same with a body of this model. The route says it, beside the handler that reads it."""
        return replace(self, body=body)

    def all_answers(self) -> tuple[Answer, ...]:
        """With those that follow from the rest of the declaration."""
        implied: list[Answer] = []
        if self.body is not None and self.body_type == JSON:
            implied += _OF_A_BODY
        if self.roles:
            implied += _OF_ROLES
        if self.needs_engines:
            implied.append(_AWAY)
        return (*self.answers, *implied)


_OF_A_BODY = (
    refuses(400, "The body is not JSON.", "malformed_json"),
    refuses(413, "The body is too large.", "body_too_large"),
    refuses(415, "The body is no application/json, or compressed.", "unsupported_media_type"),
    refuses(
        422,
        "Fields are wrong; each is named.",
        "invalid",
        members={"errors": [{"field": "name", "message": "Field required"}]},
    ),
)
_OF_ROLES = (
    refuses(401, "No token, or one nobody knows.", "unauthorized", headers={"WWW-Authenticate": "The scheme: Bearer."}),
    refuses(403, "A token of a role that may not.", "forbidden"),
)
_AWAY = refuses(
    503,
    "Cannot be answered at the moment.",
    "unavailable",
    headers={"Retry-After": "Seconds after which to try again."},
)


@dataclass(frozen=True, slots=True)
class Route:
    """One route of a service."""

    method: str
    path: str
    handler: Handler
    operation: Operation
    allow_head: bool = True

    def definition(self) -> web.RouteDef:
        """As aiohttp registers it."""
        options = {"allow_head": self.allow_head} if self.method == "GET" else {}
        return web.RouteDef(self.method, self.path, self.handler, options)


def route(
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
    path: str,
    handler: Handler,
    operation: Operation,
    *,
    allow_head: bool = True,
) -> Route:
    """A route with its documentation. ``allow_head``: a GET answers HEAD as well."""
    return Route(method, path, handler, operation, allow_head)


def id_in_path(name: str, what: str) -> Parameter:
    """The id of a path: of an order, an event."""
    return Parameter(name, "path", f"The {what}'s id.", UUID, SAMPLE_ID, required=True)
