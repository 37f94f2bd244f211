"""The message the mailer gives out."""

from typing import Annotated, ClassVar

from pydantic import StringConstraints

from shared.contracts.base import Email, OrderMessage, Sentence


class MailFailedV1(OrderMessage):
    """A mail was refused for good, or could not be handed over in all its tries."""

    TYPE: ClassVar[str] = "mail.failed.v1"

    kind: Annotated[str, StringConstraints(max_length=50)]
    email: Email
    why: Sentence
