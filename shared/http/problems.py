"""Errors as RFC 9457 problem documents."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import orjson
import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from shared.postgres.errors import PASSING

_log = structlog.get_logger()

CONTENT_TYPE = "application/problem+json"


class ProblemDocument(BaseModel):
    """RFC 9457. ``code`` is a stable word a program can branch on; other members depend on it."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(description="A name for the kind of problem, made from the code.")]
    title: str
    status: Annotated[int, Field(description="The HTTP status.", ge=400, le=599)]
    code: str
    detail: Annotated[str, Field(description="A sentence for a person.")]


def type_of(code: str) -> str:
    """The URN of a kind of problem."""
    return f"urn:boxoffice:problem:{code}"


def title_of(code: str) -> str:
    """A kind of problem in words."""
    return code.replace("_", " ").capitalize()


class Problem(Exception):
    """An answer that is an error, raised anywhere below a route.

    ``code`` is a stable word a program can branch on; ``detail`` is a sentence for a person; ``extra`` adds members.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra

    def response(self) -> web.Response:
        """The problem document."""
        document = {
            "type": type_of(self.code),
            "title": title_of(self.code),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.extra,
        }
        return web.Response(
            status=self.status, body=orjson.dumps(document), content_type=CONTENT_TYPE, headers=self.headers
        )


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def problem_middleware(  # noqa: PLR0911 - one for each kind of error
    request: web.Request, handler: Handler
) -> web.StreamResponse:
    """Turn every error into a problem document; what nobody foresaw is logged and answered 500 without details."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPRequestEntityTooLarge as error:
        detail = f"the body is larger than {error.text.rsplit(' ', 1)[-1] if error.text else 'allowed'} bytes"
        return Problem(413, "body_too_large", detail).response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        code = error.reason.lower().replace(" ", "_").replace("-", "_")
        return Problem(
            error.status, code, f"{request.method} {request.path}: {error.reason}", headers=allowed
        ).response()
    except web.RequestPayloadError as error:
        response = Problem(400, "bad_request", f"the body cannot be read: {error}"[:200]).response()
        response.force_close()
        return response
    except PASSING as error:
        _log.warning("an engine is away", path=request.path, error=repr(error)[:300])
        return unavailable("something this answer needs is away for the moment").response()
    except Exception:  # noqa: BLE001 - whatever it is, the buyer gets an answer and the log the traceback
        _log.exception("a request failed", method=request.method, path=request.path)
        return Problem(500, "internal_error", "this is our fault; it is in the log").response()


def unavailable(detail: str, *, after_seconds: int = 2, **extra: Any) -> Problem:
    """503 with ``Retry-After``."""
    return Problem(503, "unavailable", detail, headers={"Retry-After": str(after_seconds)}, **extra)
