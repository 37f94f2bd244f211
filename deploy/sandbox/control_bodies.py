"""The bodies of the calls under ``/sandbox``. Amounts are in subunits; a wrong field is named in the answer."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from deploy.sandbox.api import ENDPOINTS
from deploy.sandbox.disputes import MERCHANT_SECONDS
from deploy.sandbox.model import CARD_SUCCEEDS, CARDS
from deploy.sandbox.transactions import Outcome

Copies = Annotated[int, Field(ge=0, le=100)]
Delay = Annotated[float, Field(ge=0, le=3_600)]
Amount = Annotated[int, Field(gt=0, le=10**12)]
Currency = Literal["NGN", "GHS", "ZAR", "USD", "KES", "XOF", "EGP", "RWF"]


class Body(BaseModel):
    """A body without any fields; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SettleBody(Body):
    """An outcome for a transaction. With `create` an unknown reference is charged too, as money from elsewhere is."""

    outcome: Outcome
    amount: Amount | None = None
    currency: Currency | None = None
    domain: Literal["test", "live"] | None = None
    card: str = CARD_SUCCEEDS
    gateway_response: str | None = Field(None, max_length=200)
    webhooks: Copies = 1
    delay_seconds: Delay = 0.0
    create: bool = False
    email: str = "stranger@example.com"

    @field_validator("card")
    @classmethod
    def _must_be_test_card(cls, value: str) -> str:
        if value not in CARDS:
            raise ValueError(f"must be one of the test cards {', '.join(CARDS)}")
        return value


class FaultsBody(Body):
    """Faults to plant; what is left out stays as it is. Counts may be true (until cleared) or false (none)."""

    latency_seconds: Delay = 0.0
    fail_next: Copies | bool = 0
    timeout_before_charge: Copies | bool = 0
    timeout_after_charge: Copies | bool = 0
    down: bool = False
    insufficient_balance: bool = False
    endpoints: list[str] = []
    rate_limit_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] | Literal["live", "test"] = 0

    @field_validator("endpoints")
    @classmethod
    def _must_exist(cls, value: list[str]) -> list[str]:
        if unknown := set(value) - ENDPOINTS:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(ENDPOINTS))}")
        return value


class RefundBody(Body):
    """A refund made in the dashboard."""

    reference: str
    amount: Amount | None = None
    outcome: Literal["processed", "failed", "needs-attention"] | None = None
    webhooks: Copies = 1


class RefundStatusBody(Body):
    """A status to put a refund into at once."""

    status: Literal["pending", "processing", "processed", "failed", "needs-attention"]
    webhooks: Copies | None = None


class ResendBody(Body):
    """A webhook to send again."""

    reference: str
    event: str = "charge.success"
    copies: Annotated[int, Field(ge=1, le=100)] = 1


class EventBody(Body):
    """Any event, signed and repeated like Paystack's own."""

    event: Annotated[str, Field(min_length=1, max_length=200)]
    data: dict[str, Any] = {}
    reference: str = ""
    copies: Annotated[int, Field(ge=1, le=100)] = 1


class SecretBody(Body):
    """A new secret key. Which key signs what is under way is not published, so the caller chooses."""

    secret_key: Annotated[str, Field(min_length=8, max_length=200, pattern=r"^[ -~]+$")]
    pending_webhooks: Literal["old_key", "new_key"] = "old_key"


class DisputeBody(Body):
    """A claim by a customer; 16 hours to answer unless told otherwise."""

    reference: str
    amount: Amount | None = None
    category: Literal["chargeback", "fraud", "general"] = "chargeback"
    due_seconds: Annotated[float, Field(gt=0, le=10**7)] = MERCHANT_SECONDS
    webhooks: Copies = 1
