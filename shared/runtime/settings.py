"""Settings: from the environment with the service's prefix, checked at start, frozen afterwards."""

import os
import sys
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

#: A period in seconds.
Seconds = Annotated[float, Field(gt=0, le=30 * 24 * 3600)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class ServiceSettings(BaseSettings):
    """What every service has. A subclass sets ``env_prefix``, as in ``ORDERS_``."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    #: ``amqp://user:password@host:port/vhost``.
    amqp_url: Annotated[str, StringConstraints(pattern=r"^amqps?://")]
    #: Address to listen on. Everything stays on this machine unless told otherwise.
    http_host: str = "127.0.0.1"
    #: Port to listen on; 0 takes a free one.
    http_port: Port
    #: First part of all exchange and queue names.
    namespace: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,40}$")] = "boxoffice"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    #: Fallback poll of the relay and of other loops that are woken in-process; nothing on its way waits for it.
    poll_seconds: Seconds = 1.0
    #: How long the drain after SIGTERM may take.
    drain_seconds: Seconds = 20.0
    #: How often queues and bindings are asserted again.
    reassert_seconds: Seconds = 30.0


class DatabaseSettings(ServiceSettings):
    """A service with a database of its own."""

    #: ``postgresql://role:password@host:port/database``.
    database_url: Annotated[str, StringConstraints(pattern=r"^postgres(ql)?://")]
    #: Connections in the pool.
    database_connections: Annotated[int, Field(ge=2, le=100)] = 6
    #: First pause before an unanswered question is asked again; it doubles with each.
    ask_again_seconds: Seconds = 5.0
    #: Longest pause between two times of asking.
    ask_again_most_seconds: Seconds = 300.0
    #: How long sent outbox rows are kept for a replay.
    outbox_retention_seconds: Seconds = 3 * 24 * 3600.0
    #: How long handled message ids are kept; longer than anything can be replayed.
    inbox_retention_seconds: Seconds = 14 * 24 * 3600.0

    @field_validator("inbox_retention_seconds")
    @classmethod
    def _inbox_outlives_outbox(cls, seconds: float, info: ValidationInfo) -> float:
        if seconds <= info.data.get("outbox_retention_seconds", 0):
            raise ValueError("must be longer than outbox_retention_seconds, or a replay would take effect twice")
        return seconds


def parse_keys(text: SecretStr) -> dict[str, bytes]:
    """``id:secret,id:secret`` as a mapping in that order; the first signs, all verify.

    Raises ValueError when an id is missing or repeated, or a secret is shorter than 16 characters.
    """
    keys: dict[str, bytes] = {}
    for part in text.get_secret_value().split(","):
        key_id, separator, secret = part.strip().partition(":")
        if not separator or not key_id or key_id in keys:
            raise ValueError("must be id:secret[,id:secret], each id once")
        if len(secret) < 16:
            raise ValueError(f"the secret of {key_id} has fewer than 16 characters")
        keys[key_id] = secret.encode()
    return keys


def parse_roles(text: SecretStr) -> dict[str, str]:
    """``role:token,role:token`` as a mapping from token to role.

    Raises ValueError when a role is missing, or a token is missing, repeated or shorter than 16 characters.
    """
    roles: dict[str, str] = {}
    for part in text.get_secret_value().split(","):
        role, _, token = part.strip().partition(":")
        if not role or token in roles or len(token) < 16:
            raise ValueError("must be role:token[,role:token], each token once and of 16 characters or more")
        roles[token] = role
    return roles


def check_keys(text: SecretStr) -> SecretStr:
    """A validator for fields that ``parse_keys`` reads later."""
    parse_keys(text)
    return text


def check_roles(text: SecretStr) -> SecretStr:
    """A validator for fields that ``parse_roles`` reads later."""
    parse_roles(text)
    return text


def check_time_zone(name: str) -> str:
    """A validator for names of time zones, as in ``Africa/Lagos``. Raises ValueError for one this system lacks."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is no time zone of this system, as in Africa/Lagos") from None
    return name


#: The name of a time zone of this system.
TimeZoneName = Annotated[str, AfterValidator(check_time_zone)]
#: ``id:secret[,id:secret]``; read with ``parse_keys``.
Keys = Annotated[SecretStr, AfterValidator(check_keys)]
#: ``role:token[,role:token]``; read with ``parse_roles``.
RoleTokens = Annotated[SecretStr, AfterValidator(check_roles)]

S = TypeVar("S", bound=ServiceSettings)


def load_settings(settings_class: type[S]) -> S | None:
    """The settings from the environment, or ``None`` after naming every wrong or missing variable on stderr."""
    prefix = str(settings_class.model_config.get("env_prefix", ""))
    _warn_of_strangers(settings_class, prefix)
    try:
        settings = settings_class()
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False, include_context=False):
            name = f"{prefix}{'_'.join(str(part) for part in one['loc'])}".upper()
            what = "is not set" if one["type"] == "missing" else f"is wrong: {one['msg']}"
            sys.stderr.write(f"{name} {what}\n")
        return None
    return settings


def _warn_of_strangers(settings_class: type[ServiceSettings], prefix: str) -> None:
    known = {f"{prefix}{name}".upper() for name in settings_class.model_fields}
    for name in sorted(os.environ):
        # Only a warning: a cluster sets variables of its own that begin like ours (ORDERS_SERVICE_HOST).
        if name.startswith(prefix) and name.upper() not in known and "_PORT_" not in name and "_SERVICE_" not in name:
            sys.stderr.write(f"{name} is set but is no setting of this service\n")
