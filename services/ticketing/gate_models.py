"""What gates ask and are answered, as models: requests are checked by them, and documents made of them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from services.ticketing.admissions import ConflictKind
from services.ticketing.pack import CodeForm
from shared.http.requests import Moment, without_controls

#: Admissions in one request of a device that syncs.
MOST_SYNCED = 1_000

Label = Annotated[str, StringConstraints(min_length=1, max_length=80), AfterValidator(without_controls)]
Shown = Annotated[str, StringConstraints(min_length=1, max_length=1_024), AfterValidator(without_controls)]
CodeText = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(without_controls)]
Why = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(without_controls)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Checkin(_Body):
    """A ticket is shown. Each showing has an id of its own, made by the device; a repeat of the request keeps it."""

    admission_id: UUID
    event_id: UUID
    ticket: Annotated[Shown, Field(description="the typed code, or the text of the QR")]
    gate: Label
    who: Annotated[Label, Field(description="who works the device")]
    at: Annotated[Moment, Field(description="the device's time")]


class Admitted(BaseModel):
    """The guest is let in."""

    outcome: Literal["admitted"] = "admitted"
    admission_id: UUID
    event_id: UUID
    code: str
    gate: str
    who: str
    admitted_at: AwareDatetime


class NewUndo(_Body):
    """A supervisor takes an admission back."""

    gate: Label
    who: Label
    why: Why


class Undone(BaseModel):
    """How an admission was taken back: the same for every repeat."""

    admission_id: UUID
    gate: str
    who: str
    why: str
    undone_at: AwareDatetime


class OfflineAdmission(_Body):
    """What a device wrote down while it had no internet."""

    admission_id: UUID
    event_id: UUID
    code: CodeText
    gate: Label
    who: Label
    admitted_at: Moment


class Sync(_Body):
    """What a device has that was not confirmed yet, in any order."""

    admissions: Annotated[list[OfflineAdmission], Field(min_length=1, max_length=MOST_SYNCED)]


class Place(BaseModel):
    """An admission: which, where, who, when."""

    admission_id: UUID
    gate: str
    who: str
    admitted_at: AwareDatetime


class Synced(BaseModel):
    """What one admission comes to, as far as is known now. It is kept in each case but ``id_reused``."""

    admission_id: UUID
    outcome: Literal["counts", "undone", "conflict", "id_reused"]
    kind: ConflictKind | None = None
    counting: Place | None = None


class SyncAnswer(BaseModel):
    """One answer for each admission that was sent."""

    admissions: list[Synced]


class ConflictView(BaseModel):
    """Somebody was let in who ought not to have been: where and when, and where and when the one who counts."""

    kind: ConflictKind
    code: str
    admission: Place
    counting: Place | None
    revoked_at: AwareDatetime | None


class Conflicts(BaseModel):
    """All conflicts of an event, by time."""

    conflicts: list[ConflictView]


class Happening(BaseModel):
    """One thing that a gate did with a ticket. ``why``: of an undo, or the refusal's word."""

    what: Literal["admitted", "undone", "refused"]
    admission_id: UUID
    gate: str
    who: str
    at: AwareDatetime
    why: str | None
    is_offline: bool


class History(BaseModel):
    """Everything gates did with a ticket, oldest first."""

    code: str
    history: list[Happening]


class GateChoices(_Body):
    """The organiser's choices for an event's gates. What is left out stays; ``opens_at`` null takes the usual hours."""

    form: CodeForm | None = None
    opens_at: Moment | None = None


class GateSettings(BaseModel):
    """What holds for an event's gates."""

    form: CodeForm
    opens_at: AwareDatetime | None
