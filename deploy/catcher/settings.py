"""Settings of the catcher, all from the environment with the prefix ``CATCHER_``."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from deploy.catcher.refusals import Refusal


class Settings(BaseSettings):
    """Everything that can be set. A wrong value raises `pydantic.ValidationError` before anything starts."""

    model_config = SettingsConfigDict(env_prefix="CATCHER_", frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", min_length=1)
    http_port: int = Field(8091, ge=0, le=65_535)
    smtp_port: int = Field(8025, ge=0, le=65_535)
    data_file: str = ""
    max_messages: int = Field(10_000, ge=1, le=1_000_000)
    max_bytes: int = Field(256 * 1024 * 1024, ge=1024)
    max_message_bytes: int = Field(25 * 1024 * 1024, ge=1024)
    refuse: Annotated[tuple[Refusal, ...], NoDecode] = ()

    @field_validator("refuse", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(_read_refusal(part.strip()) for part in value.split(",") if part.strip())


def _read_refusal(text: str) -> Refusal:
    address, colon, code = text.rpartition(":")
    if not colon or not code.isdecimal():
        raise ValueError(f"{text!r} must be address:code, such as full@example.com:452")
    return Refusal(address=address, code=int(code))
