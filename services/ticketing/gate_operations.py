"""What the gate's routes take and give, for ticketing's OpenAPI document."""

from typing import Any

from services.ticketing.gate_models import (
    Admitted,
    Conflicts,
    GateSettings,
    History,
    SyncAnswer,
    Undone,
)
from services.ticketing.pack import SignedPack
from shared.http.routes import SAMPLE_ID, Operation, Parameter, gives, id_in_path, refuses, says

_TAG = "For gates"
_EVENT = "018f3f5e-6a10-7c55-8f3e-2b9d4c6e8a01"
_CODE = "VK9HHU-001-f3a2b1c0"
_AT = "2031-05-01T18:04:05Z"
_OTHER_ID = "018f3f5e-7c1a-7b7e-9d2f-1f6a5b0c9d11"
_PLACE = {"admission_id": SAMPLE_ID, "gate": "north", "who": "Ada", "admitted_at": _AT}
_LATER = {"admission_id": _OTHER_ID, "gate": "south", "who": "Ben", "admitted_at": "2031-05-01T18:09:30Z"}
_FIRST = {"ticket_code": _CODE, "first": {"gate": "north", "admitted_at": _AT}}

_SIGNED_PACK: dict[str, Any] = {
    "key_id": "s1",
    "signature": "5f" * 64,
    "pack": {
        "format": 1,
        "version": 3,
        "published_at": "2031-05-01T12:00:00Z",
        "event": {
            "id": _EVENT,
            "title": "Night of the Long Drums",
            "venue": "Freedom Park, Lagos",
            "starts_at": "2031-05-01T19:00:00Z",
            "ends_at": "2031-05-01T23:00:00Z",
            "opens_at": "2031-05-01T07:00:00Z",
            "closes_at": "2031-05-02T23:00:00Z",
        },
        "public_keys": {"s1": {"public_key": "3b" * 32, "compromised_at": None}},
        "codes": {"form": "hashes", "salt": "0f" * 16, "memory_kib": 19456, "passes": 2},
        "tickets": {"VK9HHU-001-8": "xnlvyeW4qXA"},
        "references": {},
        "revoked": ["VK9HHU-002-8"],
        "blocked": [],
    },
}

GET_PACK = Operation(
    "What a device without internet needs, signed",
    (
        gives(
            200,
            SignedPack,
            "The whole pack, or what changed. `docs/gate.md` describes both to the octet.",
            example=_SIGNED_PACK,
            headers={"ETag": "The version.", "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"},
        ),
        says(304, "What the device has (If-None-Match) is the newest.", headers={"ETag": "The version."}),
        refuses(404, "No ticket of such an event is in a pack yet.", "not_found"),
        refuses(422, "`since` is no version.", "invalid"),
    ),
    roles=("gate", "supervisor", "organiser", "operator"),
    parameters=(
        id_in_path("event_id", "event"),
        Parameter("since", "query", "The version that the device has: only what changed is given.", int, 2),
        Parameter("If-None-Match", "header", "The tag of what the device has.", str, '"3-s1"'),
    ),
    tag=_TAG,
)
CHECK_IN = Operation(
    "Let a guest in, once",
    (
        gives(
            200,
            Admitted,
            "Let in. The same for every repeat.",
            example={
                "outcome": "admitted",
                "admission_id": SAMPLE_ID,
                "event_id": _EVENT,
                "code": _CODE,
                "gate": "north",
                "who": "Ada",
                "admitted_at": _AT,
            },
        ),
        refuses(404, "We issued no such ticket.", "unknown_ticket", members={"ticket_code": _CODE}),
        refuses(
            409,
            "Not let in. `already_admitted` says where and when the first was.",
            "already_admitted",
            "other_event",
            "revoked",
            "blocked",
            "key_compromised",
            "not_valid_yet",
            "not_valid_any_more",
            "undone",
            "admission_id_reused",
            members=_FIRST,
        ),
        refuses(422, "What was shown is no ticket.", "not_a_ticket"),
    ),
    "Each showing of a ticket has an `admission_id` of its own, made by the device; a repeat of the request keeps it.",
    body_example={
        "admission_id": SAMPLE_ID,
        "event_id": _EVENT,
        "ticket": _CODE,
        "gate": "north",
        "who": "Ada",
        "at": _AT,
    },
    roles=("gate", "supervisor"),
    tag=_TAG,
)
UNDO = Operation(
    "Take an admission back",
    (
        gives(
            200,
            Undone,
            "How it was taken back first.",
            example={
                "admission_id": SAMPLE_ID,
                "gate": "north",
                "who": "Sue",
                "why": "wrong person",
                "undone_at": "2031-05-01T18:06:00Z",
            },
        ),
        refuses(404, "No such admission.", "not_found"),
    ),
    "The ticket can be let in again, under a new id. Both stay in its history.",
    body_example={"gate": "north", "who": "Sue", "why": "wrong person"},
    roles=("supervisor", "operator"),
    parameters=(id_in_path("admission_id", "admission"),),
    tag=_TAG,
)
SYNC = Operation(
    "Take in what a device admitted without internet",
    (
        gives(
            200,
            SyncAnswer,
            "What each comes to, as far as is known now.",
            example={
                "admissions": [
                    {"admission_id": _OTHER_ID, "outcome": "conflict", "kind": "admitted_twice", "counting": _PLACE}
                ]
            },
        ),
    ),
    "In any order, any number of times.",
    body_example={"admissions": [{**_LATER, "event_id": _EVENT, "code": _CODE}]},
    roles=("gate", "supervisor"),
    tag=_TAG,
)
GET_CONFLICTS = Operation(
    "Who was let in and ought not to have been",
    (
        gives(
            200,
            Conflicts,
            "All conflicts of the event, by time: both places and times.",
            example={
                "conflicts": [
                    {
                        "kind": "admitted_twice",
                        "code": _CODE,
                        "admission": _LATER,
                        "counting": _PLACE,
                        "revoked_at": None,
                    }
                ]
            },
        ),
        refuses(404, "No such event.", "not_found"),
    ),
    roles=("gate", "supervisor", "organiser", "operator"),
    parameters=(id_in_path("event_id", "event"),),
    tag=_TAG,
)
GET_HISTORY = Operation(
    "Everything gates did with a ticket",
    (
        gives(
            200,
            History,
            "Oldest first.",
            example={
                "code": _CODE,
                "history": [
                    {
                        "what": "admitted",
                        "admission_id": SAMPLE_ID,
                        "gate": "north",
                        "who": "Ada",
                        "at": _AT,
                        "why": None,
                        "is_offline": False,
                    }
                ],
            },
        ),
        refuses(404, "No such event.", "not_found"),
        refuses(422, "`code` is no ticket's code.", "invalid"),
    ),
    roles=("supervisor", "organiser", "operator"),
    parameters=(
        id_in_path("event_id", "event"),
        Parameter("code", "query", "The ticket's code.", str, _CODE, required=True),
    ),
    tag=_TAG,
)
CHOOSE = Operation(
    "Choose how an event's typed codes are checked, and when its gates open",
    (
        gives(200, GateSettings, "What holds now.", example={"form": "hashes", "opens_at": None}),
        refuses(404, "No such event.", "not_found"),
    ),
    "The next pack has it. `docs/gate.md` says what a thief of a pack of either form can do.",
    body_example={"form": "hashes", "opens_at": "2031-05-01T16:00:00Z"},
    roles=("organiser", "operator"),
    parameters=(id_in_path("event_id", "event"),),
    tag="For organisers",
)
