"""What inventory decides, without a database: who gets places, and what that does to the stock."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.contracts.base import Item, PricedLine, RejectionReason, SoldEvent
from shared.contracts.inventory import TierView


@dataclass(frozen=True, slots=True)
class Tier:
    """A stock row with its event."""

    id: UUID
    name: str
    price_kobo: int
    capacity: int
    available: int
    held: int
    sold: int
    max_per_order: int
    sale_starts_at: datetime | None
    sale_ends_at: datetime | None
    version: int
    event: SoldEvent
    currency: str
    cancelled_at: datetime | None = None

    def is_on_sale(self, now: datetime) -> bool:
        """Whether places may be taken at ``now``: within the tier's window, and before the event is over
        or cancelled."""
        if self.cancelled_at is not None:
            return False
        starts = self.sale_starts_at is None or self.sale_starts_at <= now
        ends = self.event.ends_at if self.sale_ends_at is None else min(self.sale_ends_at, self.event.ends_at)
        return starts and now < ends

    def view(self) -> TierView:
        """What anybody may see."""
        return TierView(
            id=self.id,
            name=self.name,
            price_kobo=self.price_kobo,
            currency=self.currency,
            capacity=self.capacity,
            available=self.available,
            held=self.held,
            sold=self.sold,
            max_per_order=self.max_per_order,
            sale_starts_at=self.sale_starts_at,
            sale_ends_at=self.sale_ends_at,
            cancelled=True if self.cancelled_at is not None else None,
        )


@dataclass(frozen=True, slots=True)
class StockRequest:
    """An order that asks for places."""

    order_id: UUID
    lines: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Reserved:
    """Everything the order asked for is its own, at these prices."""

    order_id: UUID
    event: SoldEvent
    lines: tuple[PricedLine, ...]
    total_kobo: int
    currency: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The order got nothing."""

    order_id: UUID
    reason: RejectionReason
    tier_id: UUID | None


@dataclass(frozen=True, slots=True)
class Movement:
    """A change of one stock row; the three always sum to zero."""

    available: int = 0
    held: int = 0
    sold: int = 0

    def __add__(self, other: "Movement") -> "Movement":
        return Movement(self.available + other.available, self.held + other.held, self.sold + other.sold)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one order may be at most: its sum in kobo, and its places."""

    total_kobo: int
    places: int


def decide_reservations(
    tiers: Mapping[UUID, Tier], requests: Sequence[StockRequest], *, now: datetime, limits: Limits
) -> list[Reserved | Rejected]:
    """Give out places in the order of ``requests``, each order whole or not at all. ``tiers`` are the locked rows."""
    left = {tier_id: tier.available for tier_id, tier in tiers.items()}
    outcomes: list[Reserved | Rejected] = []
    for request in requests:
        outcome = _decide_reservation(tiers, left, request, now, limits)
        if isinstance(outcome, Reserved):
            for line in outcome.lines:
                left[line.tier_id] -= line.quantity
        outcomes.append(outcome)
    return outcomes


def _decide_reservation(
    tiers: Mapping[UUID, Tier], left: Mapping[UUID, int], request: StockRequest, now: datetime, limits: Limits
) -> Reserved | Rejected:
    # Two lines of one tier are one wish: each alone may fit where both together do not.
    wanted = Counter[UUID]()
    for line in request.lines:
        wanted[line.tier_id] += line.quantity
    for tier_id in wanted:
        if tier_id not in tiers:
            return Rejected(request.order_id, "unknown_tier", tier_id)
    asked = {tier_id: tiers[tier_id] for tier_id in wanted}
    first = asked[request.lines[0].tier_id]
    for tier_id, tier in asked.items():
        if tier.event.id != first.event.id:
            return Rejected(request.order_id, "several_events", tier_id)
    for tier_id, tier in asked.items():
        reason = _why_not(tier, wanted[tier_id], left[tier_id], now)
        if reason is not None:
            return Rejected(request.order_id, reason, tier_id)
    total = sum(asked[line.tier_id].price_kobo * line.quantity for line in request.lines)
    if total > limits.total_kobo or wanted.total() > limits.places:
        return Rejected(request.order_id, "over_limit", None)
    lines = tuple(
        PricedLine(
            tier_id=line.tier_id,
            tier_name=asked[line.tier_id].name,
            quantity=line.quantity,
            price_kobo=asked[line.tier_id].price_kobo,
        )
        for line in request.lines
    )
    return Reserved(request.order_id, first.event, lines, total, first.currency)


def _why_not(tier: Tier, wanted: int, left: int, now: datetime) -> RejectionReason | None:
    if not tier.is_on_sale(now):
        return "not_on_sale"
    if wanted > tier.max_per_order:
        return "over_limit"
    return "sold_out" if wanted > left else None


def movements_of(lines: Iterable[tuple[UUID, int]], unit: Movement) -> dict[UUID, Movement]:
    """What moving each place of ``lines`` (tier, places) by ``unit`` does to each stock row."""
    total: dict[UUID, Movement] = {}
    for tier_id, places in lines:
        moved = Movement(unit.available * places, unit.held * places, unit.sold * places)
        total[tier_id] = total.get(tier_id, Movement()) + moved
    return total


def merge_movements(parts: Iterable[Mapping[UUID, Movement]]) -> dict[UUID, Movement]:
    """The sum of several."""
    total: dict[UUID, Movement] = {}
    for part in parts:
        for tier_id, movement in part.items():
            total[tier_id] = total.get(tier_id, Movement()) + movement
    return total


#: What one place does when it is reserved, sold, released, returned.
RESERVE = Movement(available=-1, held=1)
SELL = Movement(held=-1, sold=1)
RELEASE = Movement(available=1, held=-1)
RETURN = Movement(available=1, sold=-1)


def decide_return(
    lines: Iterable[tuple[UUID, int]], to_return: Mapping[UUID, int], returned: Mapping[UUID, int]
) -> dict[UUID, int]:
    """How many places of each tier come back now: what is to be returned in all, never more than were sold,
    less what came back before. Empty when nothing is left to do."""
    bought = Counter[UUID]()
    for tier_id, places in lines:
        bought[tier_id] += places
    due = {tier_id: min(places, bought[tier_id]) - returned.get(tier_id, 0) for tier_id, places in to_return.items()}
    return {tier_id: places for tier_id, places in due.items() if places > 0}
