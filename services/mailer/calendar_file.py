"""An event as a calendar takes it in (RFC 5545)."""

from dataclasses import dataclass
from datetime import UTC, datetime

#: Revisions are numbered by the minute since then: later mails about an event overrule earlier ones, in any order of
#: arrival, and nobody has to count.
_FIRST_REVISION = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is told. ``uid`` is the same each time an order's event is told, so that it is in a calendar once.

    There is no link: calendars are shared, and the order's link opens its tickets.
    """

    uid: str
    title: str
    venue: str
    starts_at: datetime
    ends_at: datetime
    told_at: datetime
    text: str


def calendar_file(entry: Entry) -> bytes:
    """The file, in UTF-8 with times in UTC, which every calendar shows in its reader's zone."""
    from icalendar import Calendar, Event  # noqa: PLC0415 - only mails with tickets need it

    event = Event()
    event.add("uid", entry.uid)
    event.add("dtstamp", entry.told_at.astimezone(UTC))
    event.add("sequence", max(0, int((entry.told_at - _FIRST_REVISION).total_seconds() // 60)))
    event.add("dtstart", entry.starts_at.astimezone(UTC))
    event.add("dtend", entry.ends_at.astimezone(UTC))
    event.add("summary", entry.title)
    event.add("location", entry.venue)
    event.add("description", entry.text)
    calendar = Calendar()
    calendar.add("prodid", "-//Boxoffice//Tickets//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add_component(event)
    octets: bytes = calendar.to_ical()
    return octets
