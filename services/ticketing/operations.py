"""What ticketing's routes take and give, for its OpenAPI document."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, StringConstraints

from services.ticketing.domain import Outcome
from shared.contracts.base import ChargeId, Email, IssuedTicket, OrderReference, SoldEvent, TicketNumber
from shared.http.routes import SAMPLE_ID, Operation, gives, refuses

PublicKey = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class TicketOfOrder(IssuedTicket):
    """A ticket, valid or not."""

    status: Literal["valid", "revoked"]
    issued_at: AwareDatetime
    revoked_at: AwareDatetime | None


class Revocation(BaseModel):
    """How a request to revoke one ticket ended; nothing while it has not."""

    number: TicketNumber
    outcome: Outcome | None


class TicketsOfOrder(BaseModel):
    """An order's tickets."""

    order_id: UUID
    reference: OrderReference
    email: Email
    event: SoldEvent
    charge_id: ChargeId | None
    tickets: list[TicketOfOrder]
    revocations: list[Revocation]


_TICKETS: dict[str, Any] = {
    "order_id": SAMPLE_ID,
    "reference": "VK9HHU",
    "email": "ada.obi@example.com",
    "event": {
        "id": "018f3f5e-6a10-7c55-8f3e-2b9d4c6e8a01",
        "title": "Night of the Long Drums",
        "starts_at": "2031-05-01T19:00:00Z",
        "ends_at": "2031-05-01T23:00:00Z",
        "venue": "Freedom Park, Lagos",
    },
    "charge_id": "4099260516",
    "tickets": [
        {
            "number": 1,
            "tier_id": SAMPLE_ID,
            "tier_name": "Regular",
            "code": "VK9HHU-001-f3a2b1c0",
            "qr": "BX1.AEAZU4VUBQMH62VR2UXIZGSPMAYU2NCUG5IVQAABAGNHFNB6K55AFHEE",
            "status": "valid",
            "issued_at": "2027-01-01T12:03:05Z",
            "revoked_at": None,
        }
    ],
    "revocations": [],
}

GET_KEYS = Operation(
    "The public keys that verify QR texts",
    (gives(200, dict[str, PublicKey], "Key ids, each with 32 octets in hex. Not secret.", example={"s1": "3b" * 32}),),
    needs_engines=False,
    tag="For gates",
)
GET_TICKETS = Operation(
    "An order's tickets, and what requests to revoke came to",
    (
        gives(200, TicketsOfOrder, "The tickets.", example=_TICKETS),
        refuses(404, "No tickets were issued for such an order.", "not_found"),
    ),
    roles=("organiser", "operator"),
    tag="For operators",
)
