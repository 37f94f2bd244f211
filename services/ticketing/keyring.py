"""Which key signs, and what a signature still proves once its key is in other hands. Pure; holds no secret.

A compromised key has a cut-off: the moment from which somebody else may have had it. ``docs/tickets.md`` says what a
cut-off can do, and what it cannot.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

#: What a signature under a key is worth.
#:
#: - ``good``: it is proof by itself.
#: - ``doubtful``: the key was compromised later, so a thief can make the very same signature and say any time that he
#:   likes. Only a list of what we issued tells: our own rows, or a gate pack's.
#: - ``cut_off``: made when the key was compromised already. Refused, whoever made it.
#: - ``unknown``: there is no such key. Refused.
KeyStatus = Literal["good", "doubtful", "cut_off", "unknown"]

_CUT_OFF = re.compile(r"([A-Za-z0-9_-]{1,16}):(.+)")


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The ids of all keys of one kind, newest first, and from when on some of them are compromised."""

    key_ids: tuple[str, ...]
    compromised_at: Mapping[str, datetime]

    @property
    def signing_id(self) -> str | None:
        """The newest key that is not compromised; ``None`` when all are. A compromised key never signs."""
        return next((key_id for key_id in self.key_ids if key_id not in self.compromised_at), None)

    def status(self, key_id: str, signed_at: datetime | None) -> KeyStatus:
        """What a signature under ``key_id`` is worth.

        ``signed_at`` is when it was made, as far as it is *known*: the ticket's own row, or, at a gate, what the QR
        says of itself (``issued_at``). ``None`` where nothing says when, as in a typed code. A thief writes the time
        he likes, so an early one never makes a compromised key's signature better than ``doubtful``.
        """
        if key_id not in self.key_ids:
            return "unknown"
        cut_off = self.compromised_at.get(key_id)
        if cut_off is None:
            return "good"
        return "doubtful" if signed_at is None or signed_at < cut_off else "cut_off"


def is_accepted(status: KeyStatus) -> bool:
    """Whether a ticket that we know to have issued, by its row or a gate pack's list, is let in as far as keys go."""
    return status in {"good", "doubtful"}


def parse_cut_offs(text: str) -> dict[str, datetime]:
    """``id:ISO-time[,id:ISO-time]`` as a mapping. Raises ValueError.

    Times lose their fractions of a second, downwards, as the times in QRs do: otherwise what was signed in the
    cut-off's own second would pass at a gate and be refused online.
    """
    cut_offs: dict[str, datetime] = {}
    for part in text.split(","):
        match = _CUT_OFF.fullmatch(part.strip())
        moment = _moment(match[2]) if match is not None else None
        if match is None or moment is None:
            raise ValueError("must be id:time[,id:time], each time like 2031-05-17T19:00:00Z")
        if match[1] in cut_offs:
            raise ValueError(f"the key id {match[1]} is there twice")
        cut_offs[match[1]] = moment
    return cut_offs


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # A time without a zone would mean another moment on another machine.
    return moment.astimezone(UTC).replace(microsecond=0) if moment.tzinfo is not None else None
