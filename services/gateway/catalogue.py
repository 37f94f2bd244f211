"""Events and tiers for display: read from inventory, kept for a moment, moved on by ``TierChanged``."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.gateway.client import Unavailable
from services.gateway.models import Catalogue, CatalogueEvent, CatalogueTier
from shared.contracts.inventory import TierChangedV1

#: Tiers of which changes are kept that no read has shown yet.
MAX_CHANGES = 10_000


@dataclass(frozen=True, slots=True)
class _Read:
    events: Sequence[CatalogueEvent]
    at: float


class CatalogueCache:
    """The catalogue as last read, with newer tiers put in. Never says that something is sold out: inventory does."""

    def __init__(self, list_events: Callable[[], Awaitable[Sequence[CatalogueEvent]]], *, keep_seconds: float) -> None:
        self._list_events = list_events
        self._keep_seconds = keep_seconds
        self._read: _Read | None = None
        self._reading: asyncio.Task[Sequence[CatalogueEvent]] | None = None
        self._changes: dict[UUID, TierChangedV1] = {}

    def tell(self, change: TierChangedV1) -> None:
        """A tier changed."""
        known = self._changes.get(change.tier_id)
        if known is None or known.version < change.version:
            self._changes.pop(change.tier_id, None)
            self._changes[change.tier_id] = change
            if len(self._changes) > MAX_CHANGES:
                del self._changes[next(iter(self._changes))]

    async def get(self) -> Catalogue:
        """All events. Stale where inventory is away; raises Unavailable where it never answered."""
        now = asyncio.get_running_loop().time()
        stale = False
        if self._read is None or now - self._read.at >= self._keep_seconds:
            try:
                await self._refresh()
            except Unavailable:
                if self._read is None:
                    raise
                stale = True
        assert self._read is not None
        changes: dict[UUID, list[TierChangedV1]] = {}
        for change in self._changes.values():
            changes.setdefault(change.event.id, []).append(change)
        events = tuple(_moved_on(event, changes.get(event.id, ())) for event in self._read.events)
        return Catalogue(events=events, stale=stale)

    async def _refresh(self) -> None:
        # One read for all who ask at once; one of them going away must not take it from the others.
        if self._reading is None:
            self._reading = asyncio.create_task(self._fetch(), name="gateway catalogue")
        await asyncio.shield(self._reading)

    async def _fetch(self) -> Sequence[CatalogueEvent]:
        try:
            events = await self._list_events()
            self._read = _Read(events, asyncio.get_running_loop().time())
            for tier in (tier for event in events for tier in event.tiers):
                if tier.id in self._changes and self._changes[tier.id].version <= tier.version:
                    del self._changes[tier.id]
            return events
        finally:
            self._reading = None


def _moved_on(event: CatalogueEvent, changes: Iterable[TierChangedV1]) -> CatalogueEvent:
    tiers = {tier.id: tier for tier in event.tiers}
    for change in changes:
        known = tiers.get(change.tier_id)
        if known is None or known.version < change.version:
            tiers[change.tier_id] = CatalogueTier(**change.tier.model_dump(), version=change.version)
    return event.model_copy(update={"tiers": tuple(tiers.values())})
