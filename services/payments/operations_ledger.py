"""What the ledger's routes take and give, for the OpenAPI document of payments."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from services.payments.domain_ledger import WHAT_TO_DO
from shared.contracts.base import ChargeId, Currency, Kobo
from shared.http.routes import SAMPLE_ID, Operation, Parameter, gives, refuses


class OpenCase(BaseModel):
    """Money that is covered by neither tickets nor a finished refund, or something of it that needs a person."""

    case_id: str
    kind: str
    charge_id: ChargeId | None
    order_id: UUID | None
    reference: str | None
    amount_kobo: Kobo
    #: The part that nothing covers.
    open_kobo: Kobo
    currency: Currency
    why: str | None
    opened_at: datetime
    age_seconds: float
    what_to_do: str
    closed_by_hand: bool


class CaseTotal(BaseModel):
    """All open cases of one kind and currency, and the money that nothing covers."""

    kind: str
    currency: Currency
    cases: int
    amount_kobo: Kobo
    oldest_seconds: float


class OpenCases(BaseModel):
    """At most 1000 cases, the oldest first, and how many there are in all."""

    cases: list[OpenCase]
    totals: list[CaseTotal]


class CurrencySums(BaseModel):
    """captured = ticketed + refunded + settled + open."""

    currency: Currency
    captured_kobo: Kobo
    ticketed_kobo: Kobo
    refunded_kobo: Kobo
    settled_kobo: Kobo
    open_kobo: Kobo
    fees_kobo: Kobo
    charges: int


class EventSums(CurrencySums):
    """The same of one event; none for charges of no order, and for orders from before events were written down."""

    event_id: UUID | None
    title: str | None
    wrong_charges: int


class LedgerCheck(BaseModel):
    """One thing that has to be true of all money."""

    name: str
    holds: bool
    faults: list[str]


class LedgerDocument(BaseModel):
    """All money at one moment."""

    holds: bool
    currencies: list[CurrencySums]
    events: list[EventSums]
    checks: list[LedgerCheck]
    cases: list[OpenCase]


class Closed(BaseModel):
    """The case is closed."""

    case_id: str
    closed: bool


_CASE: dict[str, Any] = {
    "case_id": "unknown_reference:4099260516",
    "kind": "unknown_reference",
    "charge_id": "4099260516",
    "order_id": None,
    "reference": "bx-019a8f3c-1",
    "amount_kobo": 1_000_000,
    "open_kobo": 1_000_000,
    "currency": "NGN",
    "why": "the reference has our prefix and is none of ours",
    "opened_at": "2027-01-01T12:03:00Z",
    "age_seconds": 2.5,
    "what_to_do": WHAT_TO_DO["unknown_reference"],
    "closed_by_hand": True,
}
_SUMS: dict[str, Any] = {
    "currency": "NGN",
    "captured_kobo": 3_000_000,
    "ticketed_kobo": 1_500_000,
    "refunded_kobo": 500_000,
    "settled_kobo": 0,
    "open_kobo": 1_000_000,
    "fees_kobo": 75_000,
    "charges": 3,
}

SHOW_LEDGER = Operation(
    "Whether every kobo is covered once",
    (
        gives(
            200,
            LedgerDocument,
            "Per event and in all, with every check and every open case.",
            example={
                "holds": True,
                "currencies": [_SUMS],
                "events": [{**_SUMS, "event_id": SAMPLE_ID, "title": "Night of the Long Drums", "wrong_charges": 0}],
                "checks": [{"name": "the journal balances", "holds": True, "faults": []}],
                "cases": [_CASE],
            },
        ),
    ),
    text="captured = ticketed + refunded + settled + open. Open cases are sums that hold; ``holds`` is about the sums.",
    roles=("operator", "organiser"),
    tag="For operators",
)
LIST_CASES = Operation(
    "Open cases",
    (
        gives(
            200,
            OpenCases,
            "At most 1000, the oldest first.",
            example={
                "cases": [_CASE],
                "totals": [
                    {
                        "kind": "unknown_reference",
                        "currency": "NGN",
                        "cases": 1,
                        "amount_kobo": 1_000_000,
                        "oldest_seconds": 2.5,
                    }
                ],
            },
        ),
    ),
    roles=("operator", "organiser"),
    tag="For operators",
)
CLOSE_CASE = Operation(
    "Close a case that no service can",
    (
        gives(200, Closed, "Closed.", example={"case_id": _CASE["case_id"], "closed": True}),
        refuses(404, "No such open case, or it is closed.", "not_found"),
        refuses(409, "It closes by itself, or its money is on its way back.", "closes_by_itself", "refund_under_way"),
    ),
    text="The money that the case held counts as settled from then on. The reason is kept for ever.",
    body_example={"reason": "Sent back by bank transfer on 3 May."},
    parameters=(Parameter("case_id", "path", "The case's id, as the lists have it.", str, _CASE["case_id"], True),),
    roles=("operator",),
    tag="For operators",
)
