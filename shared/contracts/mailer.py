"""Messages the mailer gives out.

A mail that is sent again is one more *sending* of the same mail. Sendings are numbered from 1, so that whoever hears of
them in any order knows which was the last.
"""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import StringConstraints

from shared.contracts.base import Email, OrderMessage, Sentence, Version

#: What the mail is about: ``tickets``, ``expired``, ``refund_started``, ``refunded``, ``refund_failed``.
MailKind = Annotated[str, StringConstraints(max_length=50)]


class MailFailedV1(OrderMessage):
    """A mail was refused for good, or could not be handed over in all its tries."""

    TYPE: ClassVar[str] = "mail.failed.v1"

    kind: MailKind
    email: Email
    why: Sentence
    #: The mail of which this was a sending.
    mail_id: UUID | None = None
    sending: Version = 1


class MailSentV1(OrderMessage):
    """A mail that had been sent before was taken by the server. Not said of first sendings: nobody waits to hear."""

    TYPE: ClassVar[str] = "mail.sent.v1"

    kind: MailKind
    email: Email
    mail_id: UUID
    sending: Version
