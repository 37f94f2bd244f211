"""The reaper's settings, prefix ``REAPER_``."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import DatabaseSettings, Port, RoleTokens, Seconds


class ReaperSettings(DatabaseSettings):
    """See ``DatabaseSettings`` for what every service has."""

    model_config = SettingsConfigDict(env_prefix="REAPER_", frozen=True, extra="ignore", hide_input_in_errors=True)

    http_port: Port = 8085
    #: It wakes at least this often, and at the next deadline.
    wake_seconds: Seconds = 60.0
    #: Deadlines in one transaction.
    claim_limit: Annotated[int, Field(ge=1, le=5_000)] = 500
    #: ``role:token``; organiser and operator may ask what it knows of an order.
    admin_tokens: RoleTokens
