"""What Paystack's answers about attempts mean, and when it is asked again. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.payments.domain import SETTLED, Abandon, Answer, Attempt, AttemptStatus, Facts, NotFound, Payment


def is_denial(answer: Answer) -> bool:
    """Whether the answer means that nobody has paid. ``abandoned`` is Paystack's word for "not completed yet"."""
    if isinstance(answer, Facts):
        return answer.status in {"failed", "abandoned"} or answer.went_back
    return isinstance(answer, NotFound)


def decide_attempt_status(attempt: Attempt, answer: Answer, *, now: datetime) -> AttemptStatus:
    """The attempt's status after an answer that brought no money."""
    if isinstance(answer, Facts) and answer.status == "failed" and attempt.status in {"open", "unknown", "timed_out"}:
        return "failed"
    if attempt.status == "creating" and attempt.lease_until is not None and attempt.lease_until <= now:
        return "unknown"
    return attempt.status


def decide_closing(
    attempts: Sequence[Attempt], *, has_charge: bool, grace_ends_at: datetime, now: datetime
) -> Abandon | None:
    """Whether a closing payment is abandoned now: every attempt was denied, or the grace is over."""
    if has_charge:
        return None
    if now >= grace_ends_at:
        return Abandon()
    is_denied = all(attempt.status in SETTLED or attempt.denied_at is not None for attempt in attempts)
    return Abandon() if is_denied else None


def backoff(count: int, *, first_seconds: float, most_seconds: float) -> float:
    """The pause after ``count`` earlier ones, in seconds: doubling, up to a limit."""
    return float(min(first_seconds * 2 ** min(count, 30), most_seconds))


@dataclass(frozen=True, slots=True)
class VerifyPlan:
    """When attempts are looked up again, in seconds."""

    open_seconds: float
    closing_seconds: float
    closing_most_seconds: float
    late_seconds: tuple[float, ...]


def decide_next_look(payment: Payment, attempt: Attempt, plan: VerifyPlan, *, now: datetime) -> float | None:
    """Seconds until Paystack is asked about this attempt again; ``None`` for never again."""
    if attempt.status in SETTLED:
        return None
    if payment.is_closing:
        assert payment.grace_ends_at is not None
        pause = backoff(
            attempt.verify_count, first_seconds=plan.closing_seconds, most_seconds=plan.closing_most_seconds
        )
        # The end of the grace is an answer too, and must not wait for a pause that reaches beyond it.
        return max(min(pause, (payment.grace_ends_at - now).total_seconds()), 0.0)
    if payment.closed_at is None:
        return backoff(attempt.verify_count, first_seconds=plan.open_seconds, most_seconds=3600)
    if attempt.verify_count < len(plan.late_seconds):
        return plan.late_seconds[attempt.verify_count]
    return None
