"""Settings of payments, from the environment with the prefix ``PAYMENTS_``."""

from typing import Annotated, Literal

from pydantic import Field, IPvAnyNetwork, SecretStr, StringConstraints, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from shared.runtime.settings import DatabaseSettings, Keys, Port, RoleTokens, Seconds

HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+[^\s]*$")]
PerMinute = Annotated[int, Field(ge=1, le=100_000)]
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, Field(max_length=100)]


class PaymentsSettings(DatabaseSettings):
    """Everything payments can be told."""

    model_config = SettingsConfigDict(env_prefix="PAYMENTS_", frozen=True, extra="ignore", hide_input_in_errors=True)

    http_port: Port = 8081
    database_connections: Annotated[int, Field(ge=2, le=100)] = 10
    #: ``id:secret,...``: keys of the tokens in links.
    token_keys: Keys
    #: ``role:token,...``: who may read the books.
    admin_tokens: RoleTokens
    #: Where Paystack's API is.
    paystack_url: HttpUrl = "https://api.paystack.co"
    #: Comma list. The first calls Paystack; all are accepted under a webhook, so that keys can be changed.
    paystack_secret_keys: SecretStr
    #: Addresses or networks webhooks are taken from; empty for any. Paystack documents 52.31.139.75, 52.49.173.169 and
    #: 52.214.14.220, for test and live alike.
    webhook_sources: Networks = ()
    #: Addresses or networks of our own proxies: only what they wrote into X-Forwarded-For is believed.
    trusted_proxies: Networks = ()
    #: Longest one call of Paystack may take. A call that takes longer has an unknown outcome.
    paystack_timeout_seconds: Seconds = 10.0
    #: Our own address as a buyer's browser sees it.
    public_url: HttpUrl
    #: The gateway's address as a buyer's browser sees it.
    storefront_url: HttpUrl
    #: ``true`` where the Paystack account puts its fee on top of the price: a charge may be more than we asked for.
    customer_bears_fees: bool = False
    #: First characters of every reference we give; a charge with another reference is none of ours.
    reference_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.=-]{2,12}$")] = "bx-"
    #: Calls of Paystack in any minute, by all replicas together.
    initialise_per_minute: PerMinute = 1200
    verify_per_minute: PerMinute = 3000
    other_per_minute: PerMinute = 600
    #: The "minute" of these limits. Paystack counts over any 60 seconds; one more for clocks that run unevenly.
    budget_window_seconds: Seconds = 61.0
    #: A buyer who waits for a page and is not seen for so long has left the queue. His browser comes back every
    #: third of it at the latest.
    queue_patience_seconds: Seconds = 45.0
    #: How long after the deadline an unclear answer is asked about again before it counts as "not paid".
    grace_seconds: Seconds = 300.0
    #: ``retry``: a declined card does not end an order. ``release``: it gives the stock back at once.
    on_failure: Literal["retry", "release"] = "retry"
    #: How long a link waits for an order that payments has not heard of.
    link_wait_seconds: Seconds = 10.0
    #: No new attempt is opened when less than this is left to pay.
    last_attempt_seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0
    #: Paystack's session time-out, if the account has one; 0 for none. A page older than this is not handed out.
    session_seconds: Annotated[float, Field(ge=0, le=7 * 24 * 3600)] = 0.0
    #: First pause before an open attempt is looked up without being told of it; it doubles.
    verify_open_seconds: Seconds = 60.0
    #: First and longest pause between two looks at an attempt whose deadline has passed.
    verify_closing_seconds: Seconds = 2.0
    verify_closing_most_seconds: Seconds = 30.0
    #: When attempts of an ended order are looked up for late money, in seconds after the look before.
    verify_late_seconds: Annotated[tuple[Seconds, ...], NoDecode, Field(min_length=1, max_length=20)] = (
        30.0,
        300.0,
        3600.0,
        6 * 3600.0,
        24 * 3600.0,
    )
    #: First and longest pause between two looks at a refund that is under way.
    refund_poll_seconds: Seconds = 5.0
    refund_poll_most_seconds: Seconds = 3600.0
    #: How often Paystack's list of disputes is read: one may have to be answered within 16 hours.
    dispute_sweep_seconds: Seconds = 1800.0
    #: How long after a refund call of unknown outcome its fate is looked up: a call under way may still land.
    refund_lookup_seconds: Seconds = 20.0

    #: Seconds between two sweeps of Paystack's lists, and how far each reaches back before the one before it.
    sweep_every_seconds: Seconds = 600.0
    sweep_overlap_seconds: Annotated[float, Field(ge=60, le=7 * 24 * 3600)] = 2 * 3600.0
    #: How far a deep sweep reaches back, and how often there is one: a transaction may be paid long after it was begun.
    sweep_deep_seconds: Annotated[float, Field(ge=3600, le=90 * 24 * 3600)] = 7 * 24 * 3600.0
    sweep_deep_every_seconds: Annotated[float, Field(ge=60, le=30 * 24 * 3600)] = 24 * 3600.0
    #: Rows of one page of Paystack's lists.
    sweep_page_rows: Annotated[int, Field(ge=1, le=1000)] = 100

    @field_validator("paystack_secret_keys")
    @classmethod
    def _has_keys(cls, keys: SecretStr) -> SecretStr:
        if not all(len(key) >= 8 for key in _split(keys)):
            raise ValueError("must be a comma list of keys of at least 8 characters")
        return keys

    @field_validator("verify_late_seconds", "webhook_sources", "trusted_proxies", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if value == "":
            return ()
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("paystack_url", "public_url", "storefront_url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The secret keys; the first one calls."""
        return tuple(_split(self.paystack_secret_keys))

    @property
    def domain(self) -> Literal["live", "test"]:
        """What Paystack calls the mode; the calling key decides it. A charge of the other mode is a mismatch."""
        return "live" if self.secret_keys[0].startswith("sk_live_") else "test"


def _split(keys: SecretStr) -> list[str]:
    return [key.strip() for key in keys.get_secret_value().split(",")]
