"""Paystack's webhooks: kept before they are answered, handled at once, and by a loop where that was interrupted."""

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha512
from typing import Any
from uuid import UUID

import orjson
import structlog

from services.payments import store, store_money, store_sweep
from services.payments.disputes import record_dispute
from services.payments.events import CHARGE_FAILED, CHARGE_SUCCESS, DISPUTE_EVENTS, KEPT_EVENTS, REFUND_EVENTS
from services.payments.finalise import Finalisation, Wakes
from services.payments.wire import read_dispute, read_facts
from shared.messaging.transaction import Transaction, Transactions
from shared.runtime.ids import new_id

_log = structlog.get_logger()

#: Seconds after which the loop takes up a receipt nobody has handled.
LOOP_AFTER_SECONDS = 5.0


def is_authentic(body: bytes, signature: str, secret_keys: Sequence[str]) -> bool:
    """Whether one of the keys signed these very bytes (HMAC-SHA512, hex). All are compared, in constant time each."""
    given = signature.strip().lower().encode(errors="replace")
    matches = [
        hmac.compare_digest(hmac.new(key.encode(), body, sha512).hexdigest().encode(), given) for key in secret_keys
    ]
    return any(matches)


class Webhooks:
    """Stores and handles authentic webhooks."""

    def __init__(self, transactions: Transactions, finalisation: Finalisation, wakes: Wakes) -> None:
        self._transactions = transactions
        self._finalisation = finalisation
        self._wakes = wakes

    async def store(self, body: bytes) -> UUID:
        """Keep a webhook, whatever it says; it is ours from the commit on."""
        event, data = _read(body)
        receipt_id = new_id()
        async with self._transactions.begin() as tx:
            await store_money.insert_receipt(
                tx.connection,
                receipt_id=receipt_id,
                event=event,
                reference=_reference_of(data),
                body=body,
                loop_after_seconds=LOOP_AFTER_SECONDS,
            )
        return receipt_id

    async def handle_safely(self, receipt_id: UUID) -> None:
        """Handle a receipt; a failure is logged, and the loop tries again."""
        try:
            await self.handle(receipt_id)
        except Exception:  # noqa: BLE001 - the receipt is stored; its sender must get its 200 whatever happens here
            _log.exception("a webhook waits for its next try", receipt_id=str(receipt_id))

    async def handle(self, receipt_id: UUID) -> None:
        """Let a receipt have its effect, in the transaction that marks it handled."""
        async with self._transactions.begin() as tx:
            await tx.read_now()
            body = await store_money.lock_receipt(tx.connection, receipt_id=receipt_id)
            if body is None:
                return
            event, data = _read(body)
            outcome = await self._act(tx, event, data)
            await store_money.mark_receipt(tx.connection, receipt_id=receipt_id, outcome=outcome)

    async def _act(  # noqa: PLR0911 - one for each kind of event
        self, tx: Transaction, event: str | None, data: Mapping[str, Any]
    ) -> str:
        if event == CHARGE_SUCCESS:
            return await self._on_charge(tx, data)
        if event == CHARGE_FAILED:
            return await self._look_up(tx, _reference_of(data), "failed")
        if event in REFUND_EVENTS:
            # These events name no refund, and several may be under way: what is true is asked for.
            nudged = await store_money.nudge_refunds(tx.connection, reference=_reference_of(data) or "")
            tx.after_commit(self._wakes.refunds)
            if not nudged and await self._is_swept_for(tx, data):
                return "swept for"
            return "looked up" if nudged else "no refund of ours"
        if event in DISPUTE_EVENTS:
            return await self._on_dispute(tx, data)
        if event is None:
            return "unreadable"
        return "kept" if event in KEPT_EVENTS else "kept, of an event we do not know"

    async def _is_swept_for(self, tx: Transaction, data: Mapping[str, Any]) -> bool:
        """Money of ours goes back by another hand: the list of refunds says more than this event does."""
        is_ours = await store_sweep.hasten_sweep(tx.connection, name="refunds", reference=_reference_of(data) or "")
        if is_ours:
            tx.after_commit(self._wakes.sweeping)
        return is_ours

    async def _on_dispute(self, tx: Transaction, data: Mapping[str, Any]) -> str:
        try:
            dispute = read_dispute(data)
        except ValueError:
            # The sweep of Paystack's list finds it.
            return "unreadable"
        tx.after_commit(self._wakes.disputes)
        return await record_dispute(tx, dispute)

    async def _on_charge(self, tx: Transaction, data: Mapping[str, Any]) -> str:
        try:
            facts = read_facts(data)
        except ValueError:
            return await self._look_up(tx, _reference_of(data), "unreadable")
        if not facts.is_paid:
            return await self._look_up(tx, facts.reference, f"status {facts.status}"[:60])
        return await self._finalisation.finalise(tx, facts, source="webhook")

    async def _look_up(self, tx: Transaction, reference: str | None, outcome: str) -> str:
        """What this webhook says is not enough to act on: ask Paystack, if it is about an attempt of ours."""
        attempt = await store.get_attempt(tx.connection, reference=reference or "")
        if attempt is None:
            return outcome
        # The lock comes first, as everywhere: a status that settles the attempt must not be overtaken.
        await store.lock_payments(tx.connection, order_ids=[attempt.order_id])
        await store.schedule_attempt(tx.connection, reference=attempt.reference, seconds=0.0)
        tx.after_commit(self._wakes.verifying)
        return f"{outcome}, looked up"


def _read(body: bytes) -> tuple[str | None, Mapping[str, Any]]:
    """The event's name and data; ``None`` and nothing for what is no webhook at all."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, {}
    if not isinstance(document, dict) or not isinstance(document.get("event"), str):
        return None, {}
    data = document.get("data")
    return document["event"][:100].replace("\x00", ""), data if isinstance(data, dict) else {}


def _reference_of(data: Mapping[str, Any]) -> str | None:
    for name in ("reference", "transaction_reference"):
        value = data.get(name)
        if isinstance(value, str):
            # NUL is legal in JSON and not in text columns.
            return value[:200].replace("\x00", "")
    return None
