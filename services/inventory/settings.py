"""Inventory's settings, prefix ``INVENTORY_``."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import DatabaseSettings, Port, RoleTokens, Seconds


class InventorySettings(DatabaseSettings):
    """See ``DatabaseSettings`` for what every service has."""

    model_config = SettingsConfigDict(env_prefix="INVENTORY_", frozen=True, extra="ignore", hide_input_in_errors=True)

    http_port: Port = 8082
    #: Bearer tokens by role: ``organiser:TOKEN,operator:TOKEN``.
    admin_tokens: RoleTokens
    #: The most one order may cost. Paystack takes 10,000,000 naira in one charge.
    max_total_kobo: Annotated[int, Field(ge=5_000, le=9_007_199_254_740_991)] = 1_000_000_000
    #: The most places one order may have. All its tickets travel in one message, of at most 1 MiB.
    max_places: Annotated[int, Field(ge=1, le=2_000)] = 1_000
    #: How long after its deadline a hold is asked about for the first time; the reaper is far quicker when all is well.
    ask_hold_after_seconds: Seconds = 30.0
