"""Reading requests: JSON into models, bearer tokens into roles."""

import hmac
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeVar
from uuid import UUID

import orjson
from aiohttp import web
from pydantic import AfterValidator, AwareDatetime, BaseModel, ValidationError

from shared.http.problems import Problem

B = TypeVar("B", bound=BaseModel)


def without_controls(text: str) -> str:
    """``text`` itself; a validator. Raises ValueError for control characters, of which PostgreSQL stores no NUL."""
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("must not contain control characters")
    return text


def _in_range(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


#: A moment that is still one when it is told in UTC.
Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]


async def read_json(request: web.Request, model: type[B]) -> B:
    """The body as ``model``.

    Raises Problem: 415 for another content type or a compressed body, 400 for what is not JSON, 422 with every wrong
    field.
    """
    if request.content_type != "application/json":
        raise Problem(415, "unsupported_media_type", "send application/json")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "unsupported_media_type", "send it uncompressed", headers={"Accept-Encoding": "identity"})
    body = await request.read()
    try:
        # Written again, since pydantic's own reader takes NaN and half characters for JSON.
        document = orjson.dumps(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise Problem(400, "malformed_json", f"the body is not JSON: {error}") from error
    except orjson.JSONEncodeError as error:
        raise Problem(400, "malformed_json", f"the body is nested too deeply: {error}") from error
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        raise invalid(error) from error


def invalid(error: ValidationError) -> Problem:
    """422 naming every wrong field, without repeating what was sent."""
    errors = [
        {"field": ".".join(str(part) for part in one["loc"]), "message": one["msg"]}
        for one in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    ]
    return Problem(422, "invalid", "; ".join(f"{one['field']}: {one['message']}" for one in errors), errors=errors)


def read_uuid(request: web.Request, name: str, *, what: str) -> UUID:
    """A UUID from the path; 404 for anything else, since nothing has such a name."""
    try:
        return UUID(request.match_info[name])
    except ValueError:
        raise Problem(404, "not_found", f"no such {what}") from None


def bearer_of(request: web.Request) -> str | None:
    """The bearer token, if the request has one. Other octets than ASCII are no token (RFC 6750, 2.1)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token and token.isascii() else None


def require_role(request: web.Request, tokens: Mapping[str, str], *roles: str) -> str:
    """The role whose token the request carries. ``tokens`` maps token to role.

    Raises Problem: 401 without a known token, 403 when its role is none of ``roles``.
    """
    given = bearer_of(request)
    role = None
    for token, candidate in tokens.items():
        # All are compared, in constant time each, so that the answer's time tells nothing.
        if given is not None and hmac.compare_digest(token.encode(), given.encode()):
            role = candidate
    if role is None:
        raise Problem(401, "unauthorized", "a bearer token is needed", headers={"WWW-Authenticate": "Bearer"})
    if role not in roles:
        raise Problem(403, "forbidden", f"the {role} role may not do this")
    return role


def json_response(document: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON, encoded by orjson. A pydantic model gives its own JSON."""
    body = (
        document.model_dump_json().encode()
        if isinstance(document, BaseModel)
        else orjson.dumps(document, default=_plain)
    )
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def _plain(value: object) -> str:
    # orjson writes uuid.UUID itself, but not asyncpg's faster kind of it.
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
