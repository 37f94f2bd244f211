"""The mailer's statements: one coroutine each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.mailer.domain import Kind, NewMail, TicketKey
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


async def insert_mailed_tickets(connection: Connection, *, keys: Iterable[TicketKey]) -> set[TicketKey]:
    """Those of these tickets that were in no mail yet."""
    pairs = list(keys)
    rows = await connection.fetch(
        _QUERIES["insert_mailed_tickets"], [order_id for order_id, _ in pairs], [number for _, number in pairs]
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


async def get_seconds_to_next(connection: Connection) -> float | None:
    """Seconds until the next mail is due or the next lease runs out, not below 0; ``None`` when no mail waits."""
    seconds = await connection.fetchval(_QUERIES["get_seconds_to_next"])
    return None if seconds is None else max(float(seconds), 0.0)
