"""Settings of the sandbox, all from the environment with the prefix ``SANDBOX_``."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Seconds = Annotated[float, Field(ge=0, le=86_400)]


class Settings(BaseSettings):
    """Everything that can be set. A wrong value raises `pydantic.ValidationError` before anything starts."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_", frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8090, ge=0, le=65_535)
    secret_key: SecretStr = SecretStr("sk_test_boxoffice")
    webhook_url: str = ""
    public_url: str = ""
    data_file: str = ""
    unknown_reference_status: Literal[400, 404] = 400
    list_meta: Literal["offset", "cursor"] = "offset"
    partial_refund_status: Literal["reversed", "success"] = "reversed"
    rate_limit_per_minute: str = "0"
    # Paystack's account setting that puts its fee on top of what the merchant asks for.
    customer_bears_fees: bool = False
    merchant: str = Field("Boxoffice", min_length=1, max_length=80)
    refund_seconds: Seconds = 1.0
    session_seconds: Seconds = 0.0
    webhook_timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 30.0
    # Paystack's live schedule (four times after 3 minutes, then hourly) on a clock 180 times as fast, ended early.
    webhook_retry_seconds: Annotated[tuple[Seconds, ...], NoDecode, Field(max_length=100)] = (1, 1, 1, 1) + (20,) * 6

    @field_validator("webhook_retry_seconds", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("unknown_reference_status", mode="before")
    @classmethod
    def _read_number(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    @field_validator("webhook_url", "public_url")
    @classmethod
    def _must_be_http(cls, value: str) -> str:
        if value and not is_http_url(value):
            raise ValueError("must be an http or https address, or empty")
        return value.rstrip("/") if value else value

    @field_validator("rate_limit_per_minute")
    @classmethod
    def _must_be_limit(cls, value: str) -> str:
        if value not in {"live", "test"} and not (value.isdecimal() and int(value) <= 1_000_000):
            raise ValueError("must be a whole number of calls (0 switches limits off), 'test' or 'live'")
        return value

    @field_validator("secret_key")
    @classmethod
    def _must_be_key(cls, value: SecretStr) -> SecretStr:
        if len(value) < 8 or not value.get_secret_value().isascii():
            raise ValueError("must be at least 8 ASCII characters")
        return value


def is_http_url(value: str) -> bool:
    """Tell whether a text is an absolute http or https address with a host."""
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
