"""The gateway's settings."""

from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, field_validator
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import Keys, Port, Seconds, ServiceSettings, TimeZoneName, parse_keys

#: The root of an HTTP service, without a slash at its end.
BaseUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class GatewaySettings(ServiceSettings):
    """From the environment, with the prefix ``GATEWAY_``."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True, extra="ignore", hide_input_in_errors=True)

    http_port: Port = 8080
    #: ``id:secret,id:secret``, shared with payments and mailer: makes and checks the tokens in links.
    token_keys: Keys
    #: Bearer token among the services.
    service_token: Annotated[SecretStr, Field(min_length=1)]
    orders_url: BaseUrl
    inventory_url: BaseUrl
    #: Where a buyer's browser reaches payments.
    payments_public_url: BaseUrl
    #: Where a buyer's browser reaches this gateway.
    public_url: BaseUrl
    #: Turns an Idempotency-Key into an order's id, so it must never change while keys are in use. Without it the
    #: last, that is the oldest, of ``token_keys`` does; set it to that one's secret before that key is taken away.
    idempotency_secret: Annotated[SecretStr, Field(min_length=16)] | None = None

    #: Zone in which an event's time is told, as in the mailer's setting of this name.
    timezone: TimeZoneName = "Africa/Lagos"

    #: How long a checkout waits for its outcome when the client names no time.
    wait_seconds: Annotated[float, Field(ge=0, le=30)] = 3.0
    #: The longest a client may ask to wait.
    wait_most_seconds: Seconds = 30.0
    #: How long a checkout waits for the broker's confirm before it answers 503.
    confirm_seconds: Seconds = 5.0
    #: Limit of one read from orders or inventory.
    read_seconds: Seconds = 2.0
    #: How long the catalogue is shown without reading it again.
    catalogue_seconds: Seconds = 1.0
    #: Pause between two comments that keep a stream of events open.
    heartbeat_seconds: Seconds = 15.0

    #: First pause before an unanswered command is repeated; it doubles with each.
    ask_again_seconds: Seconds = 2.0
    #: Longest pause between two repeats.
    ask_again_most_seconds: Seconds = 30.0
    #: How long a command is repeated at most. Orders repeats what it knows; this is for what never reached it.
    ask_again_for_seconds: Seconds = 300.0

    #: Checkouts that may be open at once; past it the answer is 503.
    checkouts_most: Count = 10_000
    #: Streams that may be open at once; past it the answer is 503.
    streams_most: Count = 5_000
    #: Unanswered commands that are remembered to be repeated; past it the oldest is forgotten.
    unanswered_most: Count = 20_000

    @field_validator("orders_url", "inventory_url", "payments_public_url", "public_url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @property
    def keys(self) -> dict[str, bytes]:
        """The token keys by id; the first signs."""
        return parse_keys(self.token_keys)

    @property
    def order_secret(self) -> bytes:
        """What turns an Idempotency-Key into an order's id."""
        if self.idempotency_secret is not None:
            return self.idempotency_secret.get_secret_value().encode()
        return list(self.keys.values())[-1]
