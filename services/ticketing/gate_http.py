"""The gate's routes: packs for devices, check-ins, undos, syncing, and what came of it."""

from collections.abc import Mapping

from aiohttp import web

from services.ticketing import gate_store as store
from services.ticketing.admissions import Admission, Conflict
from services.ticketing.checkins import AdmissionIdReused, CheckIns, SyncResult, Unreadable
from services.ticketing.codes import read_code
from services.ticketing.device import Outcome
from services.ticketing.gate_models import (
    Admitted,
    Checkin,
    Conflicts,
    ConflictView,
    GateChoices,
    GateSettings,
    Happening,
    History,
    NewUndo,
    Place,
    Sync,
    SyncAnswer,
    Synced,
    Undone,
)
from services.ticketing.gate_operations import CHECK_IN, CHOOSE, GET_CONFLICTS, GET_HISTORY, GET_PACK, SYNC, UNDO
from services.ticketing.gate_store import Refusal
from services.ticketing.packing import Packs
from services.ticketing.settings import TicketingSettings
from shared.http.problems import Problem
from shared.http.requests import json_response, read_json, read_uuid, require_role
from shared.http.routes import Route, route
from shared.messaging.transaction import Transactions

#: A thousand admissions fit.
MAX_BODY_BYTES = 1024 * 1024

_WHY: Mapping[Outcome, str] = {
    "unknown_ticket": "no such ticket was issued",
    "other_event": "the ticket is for another event",
    "key_compromised": "the ticket was signed with a key that somebody else had already",
    "revoked": "the ticket was revoked",
    "blocked": "the ticket is blocked for the moment: its payment is disputed",
    "already_admitted": "the ticket was let in already",
    "not_valid_yet": "the gates are not open yet",
    "not_valid_any_more": "the ticket's time is over",
}


class GateRoutes:
    """The routes, with what they need."""

    def __init__(
        self, transactions: Transactions, checkins: CheckIns, packs: Packs, settings: TicketingSettings
    ) -> None:
        self._transactions = transactions
        self._checkins = checkins
        self._packs = packs
        self._settings = settings
        self._roles = settings.roles_by_token

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("GET", "/v1/gate/events/{event_id}/pack", self.get_pack, GET_PACK),
            route("GET", "/v1/gate/events/{event_id}/conflicts", self.get_conflicts, GET_CONFLICTS),
            route("GET", "/v1/gate/events/{event_id}/history", self.get_history, GET_HISTORY),
            route("POST", "/v1/gate/checkins", self.check_in, CHECK_IN.taking(Checkin)),
            route("POST", "/v1/gate/checkins/{admission_id}/undo", self.undo, UNDO.taking(NewUndo)),
            route("POST", "/v1/gate/sync", self.sync, SYNC.taking(Sync)),
            route("PUT", "/v1/admin/events/{event_id}/gate", self.choose, CHOOSE.taking(GateChoices)),
        ]

    async def get_pack(self, request: web.Request) -> web.Response:
        """The newest pack; with ``?since=N`` what changed after version N, if that can be said. 304 by its tag."""
        require_role(request, self._roles, "gate", "supervisor", "organiser", "operator")
        event_id = read_uuid(request, "event_id", what="event")
        since = _read_since(request)
        answer = await self._packs.get(event_id, since, known_tag=request.headers.get("If-None-Match"))
        if answer is None:
            raise Problem(404, "not_found", "no ticket of such an event is in a pack yet")
        headers = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
        if isinstance(answer, str):
            return web.Response(status=304, headers={**headers, "ETag": answer})
        headers["ETag"] = answer.tag
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return web.Response(body=answer.compressed, content_type="application/json", headers=headers)
        return web.Response(body=answer.body, content_type="application/json", headers=headers)

    async def check_in(self, request: web.Request) -> web.Response:
        """200: let the guest in. 404 or 409: do not, and why. The same answer for every repeat."""
        require_role(request, self._roles, "gate", "supervisor")
        ask = await read_json(request, Checkin)
        try:
            answer = await self._checkins.check_in(ask)
        except Unreadable:
            raise Problem(422, "not_a_ticket", "this is no ticket of ours, or it cannot be read") from None
        except AdmissionIdReused:
            raise Problem(409, "admission_id_reused", "this admission_id is another ticket's") from None
        if isinstance(answer, Refusal):
            raise _refused(answer)
        if answer.is_undone:
            raise Problem(409, "undone", "this admission was taken back; show the ticket again under a new id")
        return json_response(_admitted(answer))

    async def undo(self, request: web.Request) -> web.Response:
        """200 with how the admission was taken back first. The ticket can be let in again."""
        require_role(request, self._roles, "supervisor", "operator")
        admission_id = read_uuid(request, "admission_id", what="admission")
        done = await self._checkins.undo(admission_id, await read_json(request, NewUndo))
        if done is None:
            raise Problem(404, "not_found", "no such admission")
        return json_response(
            Undone(admission_id=done.admission_id, gate=done.gate, who=done.who, why=done.why, undone_at=done.undone_at)
        )

    async def sync(self, request: web.Request) -> web.Response:
        """200 with what each admission comes to as far as is known now. Repeat it as often as you like."""
        require_role(request, self._roles, "gate", "supervisor")
        ask = await read_json(request, Sync)
        results = await self._checkins.sync(ask.admissions)
        return json_response(SyncAnswer(admissions=[_synced(result) for result in results]))

    async def get_conflicts(self, request: web.Request) -> web.Response:
        """Who was let in and ought not to have been: both places and times."""
        require_role(request, self._roles, "gate", "supervisor", "organiser", "operator")
        event_id = read_uuid(request, "event_id", what="event")
        async with self._transactions.begin() as tx:
            conflicts = await store.list_conflicts(tx.connection, event_id=event_id)
        return json_response(Conflicts(conflicts=[_conflict(one) for one in conflicts]))

    async def get_history(self, request: web.Request) -> web.Response:
        """Everything gates did with the ticket of ``?code=``."""
        require_role(request, self._roles, "supervisor", "organiser", "operator")
        event_id = read_uuid(request, "event_id", what="event")
        code = read_code(request.query.get("code", ""))
        if code is None:
            raise Problem(422, "invalid", "give the ticket's code")
        async with self._transactions.begin() as tx:
            found = await store.list_history(tx.connection, event_id=event_id, code=str(code))
        return json_response(History(code=str(code), history=[Happening(**one) for one in found]))

    async def choose(self, request: web.Request) -> web.Response:
        """200 with what holds now. The next pack has it."""
        require_role(request, self._roles, "organiser", "operator")
        event_id = read_uuid(request, "event_id", what="event")
        choices = await read_json(request, GateChoices)
        async with self._transactions.begin() as tx:
            form, opens_at = await store.upsert_gate_settings(
                tx.connection,
                event_id=event_id,
                form=choices.form,
                opens_at=choices.opens_at,
                is_opening_given="opens_at" in choices.model_fields_set,
                memory_kib=self._settings.gate_hash_memory_kib,
                passes=self._settings.gate_hash_passes,
            )
        return json_response(GateSettings(form=form, opens_at=opens_at))


def _read_since(request: web.Request) -> int | None:
    text = request.query.get("since")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise Problem(422, "invalid", "since is the version of the pack that you have")
    return int(text)


def _refused(refusal: Refusal) -> Problem:
    first = refusal.first
    extra = {} if first is None else {"first": {"gate": first.gate, "admitted_at": first.admitted_at.isoformat()}}
    detail = _WHY[refusal.outcome] + (f": {first.gate}, {first.admitted_at:%d %B %H:%M:%S} UTC" if first else "")
    status = 404 if refusal.outcome == "unknown_ticket" else 409
    return Problem(status, refusal.outcome, detail, ticket_code=refusal.code, **extra)


def _admitted(one: Admission) -> Admitted:
    return Admitted(
        admission_id=one.admission_id,
        event_id=one.event_id,
        code=one.code,
        gate=one.gate,
        who=one.who,
        admitted_at=one.admitted_at,
    )


def _place(one: Admission | None) -> Place | None:
    if one is None:
        return None
    return Place(admission_id=one.admission_id, gate=one.gate, who=one.who, admitted_at=one.admitted_at)


def _synced(result: SyncResult) -> Synced:
    return Synced(
        admission_id=result.admission_id,
        outcome=result.outcome,
        kind=result.kind,
        counting=_place(result.counting),
    )


def _conflict(one: Conflict) -> ConflictView:
    admission = _place(one.admission)
    assert admission is not None
    return ConflictView(
        kind=one.kind,
        code=one.admission.code,
        admission=admission,
        counting=_place(one.counting),
        revoked_at=one.revoked_at,
    )
