"""Settings of ticketing, from the environment."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from services.ticketing.codes import LEAST_DIGITS, MOST_DIGITS
from services.ticketing.keys import parse_hex_keys
from shared.runtime.settings import DatabaseSettings, Port, RoleTokens, Seconds, parse_roles


class TicketingSettings(DatabaseSettings):
    """Keys and lengths. The first key of each list signs; the others are for what was signed before."""

    model_config = SettingsConfigDict(env_prefix="TICKETING_", frozen=True, extra="ignore", hide_input_in_errors=True)

    http_port: Port = 8083
    #: ``id:64 hex``: the master keys from which each event's key is derived.
    master_keys: SecretStr
    #: ``id:64 hex``: the Ed25519 seeds that sign QR texts.
    signing_keys: SecretStr
    #: Hex digits of a code's signature.
    signature_hex: Annotated[int, Field(ge=LEAST_DIGITS, le=MOST_DIGITS)] = LEAST_DIGITS
    #: How long after its event's end a QR is still valid; shows run late.
    valid_after_end_seconds: Seconds = 24 * 3600.0
    #: ``role:token``; organiser and operator may read tickets here.
    admin_tokens: RoleTokens

    @field_validator("master_keys", "signing_keys")
    @classmethod
    def _are_hex_keys(cls, keys: SecretStr) -> SecretStr:
        parse_hex_keys(keys.get_secret_value())
        return keys

    @property
    def roles_by_token(self) -> dict[str, str]:
        """Token to role."""
        return parse_roles(self.admin_tokens)
