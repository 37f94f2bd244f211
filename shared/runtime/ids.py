"""Identities of messages and rows."""

from uuid import UUID, uuid5

from uuid_utils.compat import uuid7

#: Name space of ids that are derived from another message's id, so that doing it twice gives the same id.
_DERIVED = UUID("6f1d3d2e-52c3-4b57-8a3e-b0cf0ff1ce01")


def new_id() -> UUID:
    """A new id (UUID version 7). Rising with time, so that primary keys grow at one end of their index."""
    return uuid7()


def derived_id(origin: UUID, *parts: object) -> UUID:
    """The id that ``origin`` and ``parts`` always give (UUID version 5)."""
    return uuid5(_DERIVED, "/".join([str(origin), *(str(part) for part in parts)]))
