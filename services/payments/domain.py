"""What payments decides. Pure: no clock, no database, no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from shared.contracts.base import Kobo

AttemptStatus = Literal[
    "creating", "open", "refused", "unknown", "failed", "timed_out", "paid", "mismatched", "reversed"
]
Ending = Literal["paid", "expired", "cancelled"]
ChargeVerdict = Literal["confirmed", "mismatch", "unknown", "foreign", "reversed"]

#: Attempts Paystack is never asked about again: it has no such transaction, or has said all there is to say.
SETTLED: frozenset[AttemptStatus] = frozenset({"refused", "paid", "mismatched", "reversed"})


@dataclass(frozen=True, slots=True)
class Payment:
    """What is known of one order's payment. Everything but the id may be missing: messages come in any order."""

    order_id: UUID
    amount_kobo: Kobo | None
    currency: str | None
    order_reference: str | None
    email: str | None
    expires_at: datetime | None
    traceparent: str | None
    closed_at: datetime | None
    grace_ends_at: datetime | None
    closing_why: Literal["deadline", "declined"] | None
    deadline_at: datetime | None
    abandoned_at: datetime | None
    ended: Ending | None
    paid_charge_id: str | None
    ticketed_charge_id: str | None

    @property
    def is_known(self) -> bool:
        """Whether a link to pay has an answer."""
        return self.amount_kobo is not None or self.closed_at is not None

    @property
    def is_closing(self) -> bool:
        """Whether Paystack is being asked whether anybody paid."""
        return self.grace_ends_at is not None and self.abandoned_at is None and self.ended is None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One reference under which an order may be paid."""

    reference: str
    order_id: UUID
    amount_kobo: Kobo
    currency: str
    status: AttemptStatus
    authorization_url: str | None
    access_code: str | None
    lease_until: datetime | None
    opened_at: datetime | None
    verify_count: int
    denied_at: datetime | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What Paystack says about one transaction. ``charge_id`` is its 64-bit id as text."""

    charge_id: str
    reference: str
    status: str
    amount_kobo: int
    currency: str
    domain: str
    paid_at: datetime | None = None
    fees_kobo: int | None = None
    #: What was asked for, where Paystack says so: less than the amount when its fee came on top.
    requested_kobo: int | None = None

    @property
    def is_paid(self) -> bool:
        """Whether the money is with us."""
        return self.status == "success"

    @property
    def went_back(self) -> bool:
        """Whether the money came and is going, or has gone, back."""
        return self.status in {"reversed", "reversal-pending"}


@dataclass(frozen=True, slots=True)
class NotFound:
    """Paystack has no transaction of that reference."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Paystack could not be asked, or its answer could not be read."""


Answer = Facts | NotFound | NoAnswer


@dataclass(frozen=True, slots=True)
class Charge:
    """Money Paystack took under one of our references."""

    charge_id: str
    reference: str
    order_id: UUID
    amount_kobo: int
    currency: str
    paid_at: datetime
    is_answered: bool
    traceparent: str | None
    #: Part of the amount that came on top of the price, where the customer bears Paystack's fee.
    surcharge_kobo: int = 0


# --- A click on the link to pay -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gone:
    """The link leads nowhere any more."""

    code: Literal["order_over", "too_late", "already_paid", "nothing_to_pay"]


@dataclass(frozen=True, slots=True)
class HandOut:
    """There is a page to pay; give its address."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Another click is opening a page right now."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Open:
    """Open a new attempt, after marking the one that is no more."""

    stale: Attempt | None = None
    stale_status: Literal["unknown", "timed_out"] = "unknown"


@dataclass(frozen=True, slots=True)
class AskFirst:
    """Whether the last attempt was made is unknown, and Paystack was not asked yet: do that before there is another."""

    attempt: Attempt


Click = Gone | HandOut | WaitFor | AskFirst | Open


@dataclass(frozen=True, slots=True)
class Turn:
    """A buyer's place among those who wait for a page. With ``call`` it is his turn, and the call is counted."""

    place: int
    wait_seconds: float
    is_due: bool
    call: int | None = None


def decide_click(
    payment: Payment,
    attempts: Sequence[Attempt],
    *,
    now: datetime,
    last_attempt_seconds: float,
    session_seconds: float,
    has_asked: bool = False,
) -> Click:
    """What a click on the link gets. ``payment`` is known and locked; ``has_asked`` once this click asked Paystack."""
    if payment.amount_kobo == 0:
        return Gone("nothing_to_pay")
    if any(attempt.status == "paid" for attempt in attempts):
        return Gone("already_paid")
    if payment.closed_at is not None or payment.expires_at is None or now >= payment.expires_at:
        return Gone("order_over")
    current = next((attempt for attempt in attempts if attempt.status in {"creating", "open"}), None)
    decision = _decide_current(current, now=now, session_seconds=session_seconds)
    if isinstance(decision, Open) and now >= payment.expires_at - timedelta(seconds=last_attempt_seconds):
        return Gone("too_late")
    unknown = next((one for one in attempts if is_unasked(one, now=now)), None)
    if isinstance(decision, Open) and unknown is not None and not has_asked:
        return AskFirst(unknown)
    return decision


def is_unasked(attempt: Attempt, *, now: datetime) -> bool:
    """Whether an attempt may or may not exist at Paystack, which was not asked about it yet."""
    if attempt.status == "creating":
        return attempt.lease_until is not None and attempt.lease_until <= now
    return attempt.status == "unknown" and attempt.verify_count == 0 and attempt.denied_at is None


def _decide_current(current: Attempt | None, *, now: datetime, session_seconds: float) -> HandOut | WaitFor | Open:
    if current is None:
        return Open()
    if current.status == "creating":
        assert current.lease_until is not None
        return WaitFor(current) if current.lease_until > now else Open(current, "unknown")
    assert current.opened_at is not None
    if session_seconds > 0 and now >= current.opened_at + timedelta(seconds=session_seconds):
        return Open(current, "timed_out")
    return HandOut(current)


# --- Money that came ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a charge is to us, and why."""

    verdict: ChargeVerdict
    why: str | None = None
    surcharge_kobo: int = 0


def decide_charge(
    facts: Facts, attempt: Attempt | None, *, prefix: str, domain: str, customer_bears_fees: bool = False
) -> Judgement:
    """Whether a charge is what our own row asked for.

    The amount must be equal, so more is as wrong as less. Only where the customer bears Paystack's fee may it be more:
    then Paystack must say that exactly our amount was requested, and what came on top is the surcharge. Nothing but
    the reference says which row is meant; metadata is never looked at.
    """
    if attempt is None:
        if facts.reference.startswith(prefix):
            return Judgement("unknown", "the reference has our prefix and is none of ours")
        return Judgement("foreign", "the reference is none of ours")
    surcharge = facts.amount_kobo - attempt.amount_kobo
    is_surcharged = customer_bears_fees and surcharge > 0 and facts.requested_kobo == attempt.amount_kobo
    price = attempt.amount_kobo if is_surcharged else facts.amount_kobo
    wrong = [
        f"{name} {came} instead of {due}"
        for name, came, due in (
            ("amount", price, attempt.amount_kobo),
            ("currency", facts.currency, attempt.currency),
            ("domain", facts.domain, domain),
        )
        if came != due
    ]
    if wrong:
        return Judgement("mismatch", "; ".join(wrong))
    if facts.went_back:
        return Judgement("reversed", "the money went back before we heard of it", surcharge)
    return Judgement("confirmed", surcharge_kobo=surcharge)


# --- The deadline ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TooEarly:
    """This database's clock says that there is time left; the reaper asks again."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Somebody paid; say so, again if it was said before."""

    charge: Charge


@dataclass(frozen=True, slots=True)
class Abandon:
    """Nobody paid."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Paystack has to be asked; ``is_new`` when it is not being asked already."""

    is_new: bool


DeadlineAnswer = TooEarly | Confirm | Abandon | Ask


def decide_deadline(
    payment: Payment, attempts: Sequence[Attempt], charges: Sequence[Charge], *, expires_at: datetime, now: datetime
) -> DeadlineAnswer:
    """The answer to ``DeadlinePassed`` for a locked payment. ``charges`` are the confirmed ones, oldest first."""
    if now < max(expires_at, payment.expires_at or expires_at):
        return TooEarly()
    if payment.ended in {"expired", "cancelled"}:
        return Abandon()
    charge = _charge_to_name(payment, charges)
    if charge is not None:
        return Confirm(charge)
    if payment.abandoned_at is not None or all(attempt.status in SETTLED for attempt in attempts):
        return Abandon()
    return Ask(is_new=not payment.is_closing)


def _charge_to_name(payment: Payment, charges: Sequence[Charge]) -> Charge | None:
    paying = [charge for charge in charges if charge.charge_id == payment.paid_charge_id]
    unanswered = [charge for charge in charges if not charge.is_answered]
    # An answered charge after an abandonment was late money: the abandonment is what the order waits for.
    rest = [] if payment.abandoned_at is not None else charges
    return next(iter([*paying, *unanswered, *rest]), None)
