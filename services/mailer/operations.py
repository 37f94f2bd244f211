"""What the mailer's routes take and give, for its OpenAPI document."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict

from services.mailer.domain import Kind, Sending, Status
from shared.contracts.base import Email
from shared.http.examples import example_of
from shared.http.requests import without_controls
from shared.http.routes import SAMPLE_ID, Operation, Parameter, gives, refuses


class MailView(BaseModel):
    """One sending of a mail, as an operator sees it. ``mail_id`` is the same for all sendings of one mail."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": SAMPLE_ID,
                    "mail_id": SAMPLE_ID,
                    "sending": 1,
                    "order_id": "019a8f3c-52d1-7c40-9b6e-4f0a5d1c7e21",
                    "kind": "tickets",
                    "email": "ada.obi@example.com",
                    "status": "failed",
                    "tries": 1,
                    "last_error": "550 5.1.1 No such user here",
                    "created_at": "2026-11-14T09:31:00Z",
                    "due_at": "2026-11-14T09:31:00Z",
                    "ended_at": "2026-11-14T09:31:02Z",
                }
            ]
        }
    )

    id: UUID
    mail_id: UUID
    sending: int
    order_id: UUID
    kind: Kind
    email: str
    status: Status
    tries: int
    last_error: str | None
    created_at: datetime
    due_at: datetime
    ended_at: datetime | None


class FoundMails(BaseModel):
    """Mails that match, newest first."""

    mails: tuple[MailView, ...]


class Resend(BaseModel):
    """Where to; where it went last, if not said."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[Email, AfterValidator(without_controls)] | None = None


def view(one: Sending) -> MailView:
    """A sending as it is shown."""
    names = ("id", "sending", "order_id", "kind", "email", "status", "tries", "last_error", "created_at", "due_at",
             "ended_at")  # fmt: skip
    return MailView(mail_id=one.first_id or one.id, **{name: getattr(one, name) for name in names})


LIST_MAILS = Operation(
    "Mails of an order, or those that failed",
    (
        gives(200, FoundMails, "At most 200, newest first.", example=lambda: {"mails": [example_of(MailView)]}),
        refuses(422, "Neither was given, or no order has such an id.", "invalid"),
    ),
    text="`status=failed` lists what was given up and not sent again since.",
    parameters=(
        Parameter("order_id", "query", "The order's id.", UUID, "019a8f3c-52d1-7c40-9b6e-4f0a5d1c7e21"),
        Parameter("status", "query", "Only `failed` can be asked for.", str, "failed"),
    ),
    roles=("operator",),
    tag="For operators",
)
RESEND = Operation(
    "Send a mail again",
    (
        gives(202, MailView, "The sending that goes out now."),
        refuses(404, "No such mail.", "not_found"),
    ),
    text="To another address if one is given; the order keeps its own. A mail that still waits for its server goes at "
    "once and not twice, so this can be repeated. It is a new mail with a Message-ID of its own: a mailbox may drop "
    "one that it has seen.",
    body_required=False,
    body_example={"email": "ada.obi@example.org"},
    roles=("operator",),
    tag="For operators",
)
