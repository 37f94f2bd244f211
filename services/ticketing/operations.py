"""What ticketing's routes take and give, for its OpenAPI document."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints

from services.ticketing.domain import Outcome
from services.ticketing.keyring import KeyStatus
from shared.contracts.base import ChargeId, Email, IssuedTicket, OrderReference, SoldEvent, TicketNumber
from shared.http.requests import without_controls
from shared.http.routes import SAMPLE_ID, Operation, Parameter, gives, refuses

KEY_PATTERN = r"^[A-Za-z0-9_.:~+/=-]{16,64}$"
PublicKey = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class CompromisedKey(BaseModel):
    """A key that somebody else may have: what it signed from that moment on is refused, and before it is no proof."""

    public_key: PublicKey
    compromised_at: AwareDatetime


class TicketOfOrder(IssuedTicket):
    """A ticket, valid or not, with what its two signatures are worth."""

    status: Literal["valid", "blocked", "revoked"]
    issued_at: AwareDatetime
    revoked_at: AwareDatetime | None
    code_key_id: str
    code_key_status: KeyStatus
    qr_key_id: str
    qr_key_status: KeyStatus


class NewHolder(BaseModel):
    """Whom the ticket is issued to, and why."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[Email, AfterValidator(without_controls)]
    why: Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(without_controls)] = (
        "issued again by the organiser"
    )


class ReissuedTicket(BaseModel):
    """A ticket that was issued again, and as which."""

    number: TicketNumber
    new_number: TicketNumber
    email: Email
    why: str
    asked_by: str
    reissued_at: AwareDatetime


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
    reissues: list[ReissuedTicket]


_TICKET: dict[str, Any] = {
    "number": 1,
    "tier_id": SAMPLE_ID,
    "tier_name": "Regular",
    "code": "VK9HHU-001-f3a2b1c0",
    "qr": "BX1.AEAZU4VUBQMH62VR2UXIZGSPMAYU2NCUG5IVQAABAGNHFNB6K55AFHEE",
    "place": None,
    "email": None,
    "status": "valid",
    "issued_at": "2027-01-01T12:03:05Z",
    "revoked_at": None,
    "code_key_id": "m1",
    "code_key_status": "good",
    "qr_key_id": "s1",
    "qr_key_status": "good",
}
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
    "tickets": [_TICKET],
    "revocations": [],
    "reissues": [],
}
_REISSUED = _TICKET | {"number": 3, "code": "VK9HHU-003-0c51d7aa", "place": 1, "email": "bola@example.com"}

GET_KEYS = Operation(
    "The public keys that verify QR texts",
    (
        gives(
            200,
            dict[str, PublicKey | CompromisedKey],
            "Key ids, each with 32 octets in hex, or with an object where the key is compromised. Not secret.",
            example={"s2": "3b" * 32, "s1": {"public_key": "9d" * 32, "compromised_at": "2031-05-01T19:00:00Z"}},
        ),
    ),
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
REISSUE = Operation(
    "Issue a ticket again, to another holder or because it was lost",
    (
        gives(201, TicketOfOrder, "The new ticket; the old number is revoked.", example=_REISSUED),
        gives(200, TicketOfOrder, "The same request was answered before.", example=_REISSUED),
        refuses(404, "No such ticket was issued.", "not_found"),
        refuses(
            409,
            "It was let in, or revoked, its order is blocked, or another request was first.",
            "already_admitted",
            "revoked",
            "blocked",
            "already_reissued",
            "too_many",
            members={"new_number": 3},
        ),
        refuses(
            422,
            "The key was used for another address, or is none.",
            "key_reused",
            "invalid",
            members={"new_number": 3},
        ),
    ),
    text="The new ticket is mailed to its holder. If that is not the order's address, the buyer's page shows neither.",
    body_example={"email": "bola@example.com", "why": "sold on"},
    parameters=(
        Parameter("number", "path", "The number of the ticket that is valid now.", TicketNumber, 1),
        Parameter(
            "Idempotency-Key",
            "header",
            "Names the request: a repeat under the same key gives the same new ticket.",
            Annotated[str, StringConstraints(pattern=KEY_PATTERN)],
            "ada-sold-hers-to-bola",
            required=True,
        ),
    ),
    roles=("organiser", "operator"),
    tag="For operators",
)
