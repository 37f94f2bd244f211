"""The orders service's settings, prefix ``ORDERS_``."""

from typing import Literal

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import DatabaseSettings, Port, RoleTokens, Seconds


class OrdersSettings(DatabaseSettings):
    """See ``DatabaseSettings`` for what every service has."""

    model_config = SettingsConfigDict(env_prefix="ORDERS_", frozen=True, extra="ignore", hide_input_in_errors=True)

    http_port: Port = 8084
    #: How long an order holds its places without being paid.
    pay_within_seconds: Seconds = 900.0
    #: How long after its deadline a pending order says again that it exists, in case the reaper missed it.
    remind_after_deadline_seconds: Seconds = 30.0
    #: ``flag``: a disputed order shows it. ``block``: its tickets are not let in either, until the dispute is won.
    on_dispute: Literal["flag", "block"] = "flag"
    #: Bearer token that services use among themselves.
    service_token: SecretStr
    #: Bearer tokens by role: ``organiser:TOKEN,operator:TOKEN``.
    admin_tokens: RoleTokens
