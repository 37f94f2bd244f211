"""The mailer's statements: one coroutine each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.mailer.domain import Kind, NewMail, Sending, TicketKey
from shared.postgres.database import Connection
from shared.postgres.queries import Queries
from shared.runtime.ids import derived_id

_QUERIES = Queries("services.mailer")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that is to be sent."""

    id: UUID
    order_id: UUID
    kind: Kind
    email: str
    data: Mapping[str, Any]
    traceparent: str | None
    created_at: datetime
    #: Tries that were spent before this one.
    tries: int
    age_seconds: float
    #: The first sending, of which this is a repeat that an operator asked for.
    first_id: UUID | None = None
    sending: int = 1

    @property
    def mail_id(self) -> UUID:
        """What all sendings of this mail have in common."""
        return self.first_id or self.id


async def insert_mailed_tickets(connection: Connection, *, places: Mapping[TicketKey, int]) -> set[TicketKey]:
    """Those of these tickets that were in no mail yet, and of whose places no newer one was."""
    rows = await connection.fetch(
        _QUERIES["insert_mailed_tickets"],
        [order_id for order_id, _ in places],
        [number for _, number in places],
        list(places.values()),
    )
    return {(row["order_id"], row["number"]) for row in rows}


async def insert_mails(connection: Connection, *, mails: Sequence[NewMail]) -> None:
    """Add mails, each once. The id, and with it the Message-ID, is derived from what the mail is about."""
    await connection.execute(
        _QUERIES["insert_mails"],
        [derived_id(mail.order_id, mail.kind, mail.key) for mail in mails],
        [mail.order_id for mail in mails],
        [mail.kind for mail in mails],
        [mail.key for mail in mails],
        [mail.email for mail in mails],
        [dict(mail.data) for mail in mails],
        [mail.traceparent for mail in mails],
    )


async def claim_mails(connection: Connection, *, limit: int, claimant: UUID, lease_seconds: float) -> list[Mail]:
    """Lease up to ``limit`` mails that are due."""
    rows = await connection.fetch(_QUERIES["claim_mails"], limit, claimant, lease_seconds)
    return sorted((Mail(**dict(row)) for row in rows), key=lambda mail: (mail.created_at, mail.id))


async def mark_mail_sent(connection: Connection, *, mail_id: UUID, claimant: UUID) -> bool:
    """False when the lease ran out and a rival has the mail."""
    return await connection.fetchval(_QUERIES["mark_mail_sent"], mail_id, claimant) is not None


async def mark_mail_failed(connection: Connection, *, mail_id: UUID, claimant: UUID, why: str) -> bool:
    """False when the lease ran out and a rival has the mail."""
    return await connection.fetchval(_QUERIES["mark_mail_failed"], mail_id, claimant, why) is not None


async def delay_mail(connection: Connection, *, mail_id: UUID, claimant: UUID, seconds: float, why: str) -> bool:
    """False when the lease ran out and a rival has the mail."""
    return await connection.fetchval(_QUERIES["delay_mail"], mail_id, claimant, seconds, why) is not None


async def release_mails(connection: Connection, *, mail_ids: Sequence[UUID], claimant: UUID) -> None:
    """Give leased mails back, with no try counted."""
    await connection.execute(_QUERIES["release_mails"], mail_ids, claimant)


async def lock_first_sending(connection: Connection, *, mail_id: UUID) -> UUID | None:
    """The id of a mail's first sending, locked; ``None`` when there is no such mail."""
    found: UUID | None = await connection.fetchval(_QUERIES["lock_first_sending"], mail_id)
    return found


async def list_sendings(connection: Connection, *, first_id: UUID) -> list[Sending]:
    """All sendings of a mail, in order."""
    return _sendings(await connection.fetch(_QUERIES["list_sendings"], first_id))


async def list_mails_of_order(connection: Connection, *, order_id: UUID, limit: int) -> list[Sending]:
    """What was mailed about an order, newest first."""
    return _sendings(await connection.fetch(_QUERIES["list_mails_of_order"], order_id, limit))


async def list_failed_mails(connection: Connection, *, limit: int) -> list[Sending]:
    """Mails that were given up and not sent again since, newest first."""
    return _sendings(await connection.fetch(_QUERIES["list_failed_mails"], limit))


async def insert_sending(connection: Connection, *, first_id: UUID, sending: int, email: str) -> None:
    """One more sending of a mail, due at once."""
    new_id = derived_id(first_id, "sending", str(sending))
    added = await connection.fetchval(_QUERIES["insert_sending"], new_id, first_id, sending, email)
    assert added is not None, "the first sending is locked, so it is there"


async def hasten_mail(connection: Connection, *, mail_id: UUID) -> bool:
    """False when it does not wait any more."""
    return await connection.fetchval(_QUERIES["hasten_mail"], mail_id) is not None


async def replace_mails(connection: Connection, *, mail_ids: Sequence[UUID]) -> None:
    """These are not sent any more."""
    await connection.execute(_QUERIES["replace_mails"], mail_ids)


async def get_seconds_to_next(connection: Connection) -> float | None:
    """Seconds until the next mail is due or the next lease runs out, not below 0; ``None`` when no mail waits."""
    seconds = await connection.fetchval(_QUERIES["get_seconds_to_next"])
    return None if seconds is None else max(float(seconds), 0.0)


def _sendings(rows: Iterable[asyncpg.Record]) -> list[Sending]:
    return [Sending(**dict(row)) for row in rows]
