"""Messages and settings for the tests of ticketing and the mailer."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from services.mailer.settings import MailerSettings
from services.ticketing.settings import TicketingSettings
from shared.contracts.base import IssuedTicket, PricedLine, SoldEvent
from shared.contracts.orders import OrderExpiredV1, OrderPaidV1
from shared.contracts.ticketing import TicketsIssuedV1
from shared.runtime.ids import new_id

MASTER_KEYS = "m1:" + "11" * 32
SIGNING_KEYS = "s1:" + "22" * 32
#: Lets a ticket in at a gate, as SQL: $1 order id, $2 number.
ADMIT = """
WITH fact AS (
    INSERT INTO admissions (admission_id, event_id, code, order_id, number, gate, who, admitted_at, is_offline)
    SELECT gen_random_uuid(), event_id, code, order_id, number, 'north', 'ada', app_now(), false
    FROM tickets WHERE order_id = $1 AND number = $2
    RETURNING *
)
INSERT INTO checkins (order_id, number, admission_id, gate, admitted_at)
SELECT order_id, number, admission_id, gate, admitted_at FROM fact
"""
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"

STARTS_AT = datetime(2031, 5, 17, 19, 0, tzinfo=UTC)


def reference_of(serial: int) -> str:
    """A reference that no other serial has."""
    characters = []
    for _ in range(6):
        serial, digit = divmod(serial, len(_ALPHABET))
        characters.append(_ALPHABET[digit])
    return "".join(characters)


def sold_event(**changes: Any) -> SoldEvent:
    """An event."""
    values: dict[str, Any] = {
        "id": new_id(),
        "title": "Lagos Nights",
        "starts_at": STARTS_AT,
        "ends_at": STARTS_AT + timedelta(hours=5),
        "venue": "Eko Hall",
    }
    return SoldEvent(**(values | changes))


def order_paid(
    quantities: Sequence[int] = (2, 1),
    *,
    order_id: UUID | None = None,
    serial: int = 0,
    event: SoldEvent | None = None,
    charge_id: str | None = "77001",
) -> OrderPaidV1:
    """A paid order with one line for each quantity."""
    lines = tuple(
        PricedLine(tier_id=new_id(), tier_name=f"Tier {position}", quantity=quantity, price_kobo=500_000)
        for position, quantity in enumerate(quantities, start=1)
    )
    return OrderPaidV1(
        order_id=order_id or new_id(),
        reference=reference_of(serial),
        email="ada@example.com",
        event=event or sold_event(),
        lines=lines,
        total_kobo=500_000 * sum(quantities),
        currency="NGN",
        expires_at=datetime.now(UTC) + timedelta(minutes=15),
        charge_id=charge_id,
    )


def tickets_issued(numbers: Sequence[int] = (1, 2), *, serial: int = 0, **changes: Any) -> TicketsIssuedV1:
    """Tickets of an order, as the mailer gets them; codes and QR texts have the right form and a made-up signature."""
    tier_id = new_id()
    reference = reference_of(serial)
    values: dict[str, Any] = {
        "order_id": new_id(),
        "email": "ada@example.com",
        "reference": reference,
        "event": sold_event(),
        "charge_id": "77001",
        "tickets": tuple(
            IssuedTicket(
                number=number,
                tier_id=tier_id,
                tier_name="Gold",
                code=f"{reference}-{number:03d}-f3a2b1c0",
                qr="BX1." + "A" * 190,
            )
            for number in numbers
        ),
    }
    return TicketsIssuedV1(**(values | changes))


def expired_order(*, paying_started: bool = True, **changes: Any) -> OrderExpiredV1:
    """The end of an order nobody paid in time."""
    values: dict[str, Any] = {
        "order_id": new_id(),
        "reference": "VM9KHU",
        "expires_at": datetime.now(UTC),
        "paying_started": paying_started,
        "email": "ada@example.com",
    }
    return OrderExpiredV1(**(values | changes))


def ticketing_settings(database_url: str, amqp_url: str = "amqp://unused", **changes: Any) -> TicketingSettings:
    """Settings of a replica for tests: a free port."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "amqp_url": amqp_url,
        "http_port": 0,
        "master_keys": SecretStr(MASTER_KEYS),
        "signing_keys": SecretStr(SIGNING_KEYS),
        "admin_tokens": SecretStr(
            "organiser:organiser-token-0001,gate:gate-token-000000001,supervisor:supervisor-token-001"
        ),
    }
    return TicketingSettings(**(values | changes))


def mailer_settings(
    database_url: str, smtp_url: str, amqp_url: str = "amqp://unused", **changes: Any
) -> MailerSettings:
    """Settings of a replica for tests: a free port, short pauses, and no poll that could help."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "amqp_url": amqp_url,
        "http_port": 0,
        "smtp_url": SecretStr(smtp_url),
        "sender": "Boxoffice <tickets@boxoffice.example>",
        "storefront_url": "https://tickets.example",
        "token_keys": SecretStr("t1:a-secret-of-the-tests"),
        "admin_tokens": SecretStr("operator:operator-token-0001,organiser:organiser-token-0001"),
        "poll_seconds": 3600.0,
        "smtp_timeout_seconds": 5.0,
        "lease_seconds": 20.0,
        "retry_seconds": 0.05,
    }
    return MailerSettings(**(values | changes))
