"""The stack that a command talks to: the one that runs in this state folder, or one that the environment names.

`BOXOFFICE_ORDERS_URL` and its like for each service, `BOXOFFICE_OPERATOR_TOKEN`, `BOXOFFICE_ORGANISER_TOKEN`,
`BOXOFFICE_GATE_TOKEN`, `BOXOFFICE_AMQP_URL` and `BOXOFFICE_NAMESPACE` name another; what they leave out is taken from
the local stack.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import aiohttp

from boxoffice.exits import FAILED, UNREACHABLE, USAGE, CommandError
from deploy.local import status
from deploy.local.provisioning import stack_secrets
from deploy.local.stack import read_operator_file
from deploy.local.state import StateFolder
from shared.contracts.registry import ServiceName

Role = Literal["operator", "organiser", "gate"]
#: Seconds for one call of a service.
CALL_SECONDS = 20.0


@dataclass(frozen=True)
class Target:
    """Where the services are, and the keys to them. What is missing is asked for only when it is needed."""

    urls: Mapping[str, str]
    tokens: Mapping[str, str]
    amqp_url: str
    namespace: str

    @classmethod
    def find(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The target of this environment. Never fails: what is missing is told by whoever needs it."""
        given = os.environ if environment is None else environment
        state = StateFolder.from_environment()
        local: dict[str, Any] = {}
        tokens: dict[str, str] = {}
        if state.marked and status.read(state) is not None:
            local = read_operator_file(state)
            secrets = stack_secrets(state)
            tokens = {
                "operator": secrets.operator_token,
                "organiser": secrets.organiser_token,
                "gate": secrets.gate_token,
            }
        urls = dict(local.get("urls", {}))
        for name, value in given.items():
            if name.startswith("BOXOFFICE_") and name.endswith("_URL") and value:
                urls[name.removeprefix("BOXOFFICE_").removesuffix("_URL").lower()] = value.rstrip("/")
        tokens |= {
            role: token
            for role in ("operator", "organiser", "gate")
            if (token := given.get(f"BOXOFFICE_{role.upper()}_TOKEN", ""))
        }
        return cls(
            urls=urls,
            tokens=tokens,
            amqp_url=given.get("BOXOFFICE_AMQP_URL") or str(local.get("amqp_url", "")),
            namespace=given.get("BOXOFFICE_NAMESPACE") or str(local.get("namespace", "boxoffice")),
        )

    def url(self, service: str) -> str:
        """Where a service answers. Raises CommandError when nobody said."""
        try:
            return self.urls[service]
        except KeyError:
            raise CommandError(_nobody(f"BOXOFFICE_{service.upper()}_URL"), UNREACHABLE) from None

    def token(self, role: Role) -> str:
        """The bearer token of a role. Raises CommandError when nobody gave one."""
        try:
            return self.tokens[role]
        except KeyError:
            raise CommandError(f"{_nobody(f'BOXOFFICE_{role.upper()}_TOKEN')}", UNREACHABLE) from None

    def broker(self) -> str:
        """The AMQP URL. Raises CommandError when nobody said."""
        if not self.amqp_url:
            raise CommandError(_nobody("BOXOFFICE_AMQP_URL"), UNREACHABLE)
        return self.amqp_url


def _nobody(variable: str) -> str:
    return f"Boxoffice is not running here. Start it with `boxoffice up`, or name another stack with {variable}."


@dataclass(frozen=True)
class Reply:
    """One answer: its status and its JSON."""

    status: int
    body: Any


class Operator:
    """Calls services with an operator's or organiser's token."""

    def __init__(self, target: Target, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._session = session

    async def ask(
        self,
        method: str,
        service: ServiceName,
        path: str,
        *,
        role: Role = "operator",
        query: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One call, whatever it answers. Raises CommandError (3) when the service does not answer."""
        url = f"{self._target.url(service)}{path}"
        authorised = {"Authorization": f"Bearer {self._target.token(role)}", **(headers or {})}
        try:
            async with self._session.request(method, url, params=query, json=json, headers=authorised) as response:
                text = await response.text()
                try:
                    body = await response.json(content_type=None) if text else None
                except ValueError:
                    body = {"detail": text[:300]}
                return Reply(response.status, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise CommandError(f"{service} does not answer at {url}: {reason}", UNREACHABLE) from error

    async def get(
        self, service: ServiceName, path: str, *, role: Role = "operator", query: Mapping[str, str] | None = None
    ) -> Any:
        """The JSON of a 200. Raises CommandError with the service's own words otherwise."""
        return said(await self.ask("GET", service, path, role=role, query=query))


def said(reply: Reply) -> Any:
    """The body of a reply that is good. Raises CommandError with the problem's own words: 2 for a wrong question."""
    if reply.status < 300:
        return reply.body
    detail = reply.body.get("detail") if isinstance(reply.body, dict) else None
    text = str(detail or f"answered {reply.status}")
    raise CommandError(text, USAGE if reply.status in {400, 422} else FAILED)


def new_session(seconds: float = CALL_SECONDS) -> aiohttp.ClientSession:
    """A session whose every call ends within ``seconds``."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds))
