"""Settings of the mailer, from the environment."""

from email.utils import parseaddr
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from services.mailer.smtp_url import parse_smtp_url
from shared.runtime.settings import DatabaseSettings, Keys, Port, RoleTokens, Seconds, TimeZoneName


class MailerSettings(DatabaseSettings):
    """Where mail goes, how patiently, and what links in it look like."""

    model_config = SettingsConfigDict(env_prefix="MAILER_", frozen=True, extra="ignore", hide_input_in_errors=True)

    http_port: Port = 8086
    #: ``smtp://user:password@host:port?starttls=1`` or ``smtps://...``.
    smtp_url: SecretStr
    #: Whom mail is from, as in ``Boxoffice <tickets@example.com>``.
    sender: str
    #: Start of links to the order's page; without it there are none.
    storefront_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$")] | None = None
    #: ``id:secret``: signs the token in links. The same setting as the gateway's.
    token_keys: Keys | None = None
    #: Bearer tokens by role: ``operator:TOKEN``. The operator sees mails and sends them again.
    admin_tokens: RoleTokens
    #: Zone in which an event's time is told.
    timezone: TimeZoneName = "Africa/Lagos"
    #: Connections to the SMTP server at once, in each replica.
    smtp_connections: Annotated[int, Field(ge=1, le=50)] = 4
    #: How long connecting, or handing over one mail, may take.
    smtp_timeout_seconds: Seconds = 30.0
    #: How long a replica has a mail to itself. A mail whose replica died is sent by another after it.
    lease_seconds: Seconds = 120.0
    #: First pause after a temporary refusal; it doubles with each.
    retry_seconds: Seconds = 30.0
    #: Longest pause between two tries of one mail.
    retry_most_seconds: Seconds = 3600.0
    #: A mail that is refused when it is older than this is given up.
    give_up_seconds: Seconds = 24 * 3600.0

    @field_validator("smtp_url")
    @classmethod
    def _is_smtp_url(cls, url: SecretStr) -> SecretStr:
        parse_smtp_url(url.get_secret_value())
        return url

    @field_validator("sender")
    @classmethod
    def _is_one_address(cls, sender: str) -> str:
        _, address = parseaddr(sender)
        local, _, domain = address.rpartition("@")
        if not local or not domain or not sender.isprintable():
            raise ValueError("must be an address, as in Boxoffice <tickets@example.com>")
        return sender

    @field_validator("lease_seconds")
    @classmethod
    def _lease_outlives_a_try(cls, seconds: float, info: ValidationInfo) -> float:
        # One try is at most a connection and a mail; a rival must not begin the same mail before that is over.
        if seconds < 3 * info.data.get("smtp_timeout_seconds", 0):
            raise ValueError("must be at least three times smtp_timeout_seconds")
        return seconds
