"""The event a fresh stack sells tickets for, made once through inventory's own interface."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import aiohttp

from deploy.local.errors import LocalError
from deploy.local.state import StateFolder, read_json, write_json

TIMEOUT = aiohttp.ClientTimeout(total=20)
FILE = "demo_event.json"
TIERS = (
    {"name": "Regular", "price_kobo": 500_000, "capacity": 500},
    {"name": "VIP", "price_kobo": 2_500_000, "capacity": 50},
    {"name": "Free standing", "price_kobo": 0, "capacity": 100},
)


async def ensure_demo_event(state: StateFolder, inventory_url: str, organiser_token: str) -> str:
    """The id of the demo event; made if this stack has none. Raises LocalError with inventory's answer."""
    known = str(read_json(state.path / FILE).get("id", ""))
    headers = {"Authorization": f"Bearer {organiser_token}"}
    async with aiohttp.ClientSession(inventory_url, headers=headers, timeout=TIMEOUT) as session:
        if known and await _exists(session, known):
            return known
        event_id = await _make(session)
    write_json(state.path / FILE, {"id": event_id})
    return event_id


async def _exists(session: aiohttp.ClientSession, event_id: str) -> bool:
    async with session.get(f"/v1/events/{event_id}") as response:
        return response.status == 200


async def _make(session: aiohttp.ClientSession) -> str:
    starts_at = (datetime.now(UTC) + timedelta(days=30)).replace(hour=19, minute=0, second=0, microsecond=0)
    event = {
        "title": "Lagos Night Live",
        "venue": "Eko Hall, Lagos",
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(hours=5)).isoformat(),
        "currency": "NGN",
    }
    event_id = await _post(session, "/v1/admin/events", event)
    for tier in TIERS:
        await _post(session, f"/v1/admin/events/{event_id}/tiers", tier)
    return event_id


async def _post(session: aiohttp.ClientSession, path: str, body: Mapping[str, object]) -> str:
    async with session.post(path, json=body) as response:
        if response.status not in {200, 201}:
            raise LocalError(f"inventory refused the demo event ({response.status}): {(await response.text())[:500]}")
        return str((await response.json())["id"])
