"""Messages and values that tests build on."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.contracts.base import Item, PricedLine, SoldEvent
from shared.contracts.gateway import CheckoutRequestedV1
from shared.contracts.inventory import StockReservedV1
from shared.contracts.orders import OrderCreatedV1, OrderExpiredV1, OrderPaidV1
from shared.contracts.payments import PaymentConfirmedV1
from shared.contracts.ticketing import TicketsIssuedV1

EMAIL = "ada@example.com"
#: The letters of an order's reference.
REFERENCE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
#: A time to pay that no test lives to see, and one that is over.
LATER = datetime(2030, 1, 1, tzinfo=UTC)
EARLIER = datetime(2020, 1, 1, tzinfo=UTC)
EVENT = SoldEvent(
    id=UUID(int=7),
    title="Night of the Long Drums",
    starts_at=datetime(2031, 5, 1, 19, tzinfo=UTC),
    ends_at=datetime(2031, 5, 1, 23, tzinfo=UTC),
    venue="Freedom Park, Lagos",
)
TIER = UUID(int=11)
PRICE_KOBO = 500_000


def charge_of(order_id: UUID, number: int = 1) -> str:
    """The id of a charge for this order and no other."""
    return str((order_id.int + number) % 10**18)


def reference_of(order_id: UUID) -> str:
    """The six characters of this order; two orders share them as seldom as in life."""
    return "".join(REFERENCE_ALPHABET[order_id.int // 31**place % 31] for place in range(6))


def checkout(order_id: UUID | None = None, *lines: tuple[UUID, int], **changes: Any) -> CheckoutRequestedV1:
    """A checkout of two places of one tier, unless told otherwise."""
    fields: dict[str, Any] = {
        "order_id": order_id or uuid4(),
        "email": EMAIL,
        "items": tuple(Item(tier_id=tier_id, quantity=places) for tier_id, places in lines or ((TIER, 2),)),
        "request_hash": "ab" * 32,
        "requested_at": datetime.now(UTC),
    }
    return CheckoutRequestedV1(**fields | changes)


def created(order_id: UUID | None = None, *lines: tuple[UUID, int], **changes: Any) -> OrderCreatedV1:
    """A new order of one place of one tier, unless told otherwise."""
    order_id = order_id or uuid4()
    fields: dict[str, Any] = {
        "order_id": order_id,
        "reference": reference_of(order_id),
        "email": EMAIL,
        "lines": tuple(Item(tier_id=tier_id, quantity=places) for tier_id, places in lines or ((TIER, 1),)),
        "expires_at": LATER,
    }
    return OrderCreatedV1(**fields | changes)


def reserved(order_id: UUID | None = None, **changes: Any) -> StockReservedV1:
    """Two places held, 10,000 naira."""
    order_id = order_id or uuid4()
    fields: dict[str, Any] = {
        "order_id": order_id,
        "reference": reference_of(order_id),
        "email": EMAIL,
        "event": EVENT,
        "lines": (PricedLine(tier_id=TIER, tier_name="VIP", quantity=2, price_kobo=PRICE_KOBO),),
        "total_kobo": 2 * PRICE_KOBO,
        "currency": "NGN",
        "expires_at": LATER,
    }
    return StockReservedV1(**fields | changes)


def paid(order_id: UUID | None = None, **changes: Any) -> OrderPaidV1:
    """The order of ``reserved``, paid."""
    order = reserved(order_id)
    return OrderPaidV1(**order.model_dump() | {"charge_id": charge_of(order.order_id)} | changes)


def confirmed(order_id: UUID, number: int = 1, **changes: Any) -> PaymentConfirmedV1:
    """A charge for the order of ``reserved``; another ``number`` is another charge."""
    charge_id = charge_of(order_id, number)
    fields: dict[str, Any] = {
        "order_id": order_id,
        "charge_id": charge_id,
        "reference": f"bx-{charge_id}",
        "amount_kobo": 2 * PRICE_KOBO,
        "currency": "NGN",
        "paid_at": datetime.now(UTC),
    }
    return PaymentConfirmedV1(**fields | changes)


def expired(order_id: UUID, **changes: Any) -> OrderExpiredV1:
    """The order of ``reserved``, not paid in time."""
    fields: dict[str, Any] = {
        "order_id": order_id,
        "reference": reference_of(order_id),
        "expires_at": EARLIER,
        "email": EMAIL,
    }
    return OrderExpiredV1(**fields | changes)


def issued(order_id: UUID, **changes: Any) -> TicketsIssuedV1:
    """The two tickets of the order of ``reserved``."""
    ticket = {"tier_id": TIER, "tier_name": "VIP"}
    fields: dict[str, Any] = {
        "order_id": order_id,
        "email": EMAIL,
        "reference": reference_of(order_id),
        "event": EVENT,
        "charge_id": charge_of(order_id),
        "tickets": [
            {
                "number": number,
                "code": f"{reference_of(order_id)}-00{number}-f3a2b1c0",
                "qr": f"BX1.{number}.sample",
                **ticket,
            }
            for number in (1, 2)
        ],
    }
    return TicketsIssuedV1(**fields | changes)


def in_seconds(seconds: float) -> datetime:
    """A moment from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)
