"""Paystack itself: applies decisions to the ledger, sends webhooks, and moves refunds and disputes on by the clock."""

import asyncio
import secrets
import time
from dataclasses import replace
from typing import Any

from deploy.sandbox import render
from deploy.sandbox.bell import Bell
from deploy.sandbox.disputes import (
    Resolution,
    decide_dispute,
    decide_resolution,
    is_money_back,
)
from deploy.sandbox.journal import Journal
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.model import CAPTURED, REFUND_OPEN, Dispute, Refund, Transaction
from deploy.sandbox.money import with_fee
from deploy.sandbox.refunds import RefundWanted, decide_refund, next_refund, outcome_for_card, status_after
from deploy.sandbox.refusals import DUPLICATE_REFERENCE, REFUND_STATE, TRANSACTION_NOT_FOUND, Refusal
from deploy.sandbox.settings import Settings
from deploy.sandbox.transactions import Decision, Wanted, decide_outcome
from deploy.sandbox.webhooks import Webhooks


class Bank:
    """One integration with its ledger. Every method that changes something answers after the change is durable."""

    def __init__(self, settings: Settings, public_url: str) -> None:
        """Open the ledger. Raises `JournalError`."""
        self.settings = settings
        self.public_url = public_url
        self.bell = Bell()
        self.ledger = Ledger(Journal(settings.data_file), time.time)
        self.session_seconds = settings.session_seconds
        self.secret_key = settings.secret_key.get_secret_value()
        self.webhooks = Webhooks(
            self.ledger,
            self.bell,
            secret_key=self.secret_key,
            url=settings.webhook_url,
            retry_seconds=settings.webhook_retry_seconds,
            timeout_seconds=settings.webhook_timeout_seconds,
        )
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Start sending, and take up refunds and disputes that an earlier process left open."""
        await self.webhooks.start()
        for refund in self.ledger.refunds.values():
            self._advance_refund_later(refund)
        for dispute in self.ledger.disputes.values():
            self._accept_dispute_later(dispute)

    async def close(self) -> None:
        """Stop the clockwork and close the data file."""
        self._closed = True
        await self.webhooks.close()
        self.ledger.journal.close()

    @staticmethod
    def now() -> float:
        """Return seconds since the epoch, to the millisecond: all that the API shows, so filters by it are exact."""
        return round(time.time(), 3)

    def is_idle(self) -> bool:
        """Tell whether no webhook is waiting and no refund is moving by itself."""
        moving = any(r.status in {"pending", "processing"} for r in self.ledger.refunds.values())
        return not moving and self.webhooks.pending == 0

    def change_key(self, secret_key: str, *, keep_pending: bool) -> None:
        """Roll the secret key, as the dashboard does: the old one is refused from now on."""
        self.secret_key = secret_key
        self.webhooks.change_key(secret_key, keep_pending=keep_pending)

    def due_amount(self, transaction: Transaction) -> int:
        """Return what the customer is charged, with the fee on top where the customer bears it."""
        if transaction.paid_at is None and self.settings.customer_bears_fees:
            return with_fee(transaction.requested_amount, transaction.currency)
        return transaction.amount

    def page_url(self, transaction: Transaction) -> str:
        """Return the address of the hosted page."""
        return f"{self.public_url}/checkout/{transaction.access_code}"

    async def initialize(self, wanted: Wanted) -> Transaction | Refusal:
        """Create a transaction that nobody has paid. A reference is taken for ever, whatever becomes of it."""
        reference = wanted.reference or f"T{secrets.token_hex(8)}"
        if self.ledger.by_reference(reference) is not None:
            return DUPLICATE_REFERENCE
        transaction = Transaction(
            id=self.ledger.new_id(),
            reference=reference,
            access_code=secrets.token_hex(8),
            email=wanted.email,
            customer_id=self.ledger.customer_id(wanted.email),
            requested_amount=wanted.amount,
            amount=wanted.amount,
            currency=wanted.currency,
            domain="live" if self.secret_key.startswith("sk_live_") else "test",
            status="abandoned",
            created_at=self.now(),
            metadata=wanted.metadata,
            callback_url=wanted.callback_url,
        )
        self.ledger.save(transaction)
        await self.ledger.saved()
        return transaction

    async def settle(
        self, transaction: Transaction, decision: Decision, *, webhooks: int = 1, delay_seconds: float = 0
    ) -> Transaction | Refusal:
        """Apply an outcome to the newest state of a transaction; a success sends `webhooks` copies, later."""
        newest = self.ledger.transactions[transaction.id]
        if decision.amount is None:
            decision = replace(decision, amount=self.due_amount(newest))
        changed = decide_outcome(newest, decision, self.now())
        if isinstance(changed, Refusal):
            return changed
        self.ledger.save(changed)
        await self.ledger.saved()
        if changed.status == "success":
            self.webhooks.send(
                "charge.success",
                changed.reference,
                render.charge_success(changed),
                copies=webhooks,
                delay_seconds=delay_seconds,
            )
        self.bell.ring()
        return changed

    async def refund(
        self, wanted: RefundWanted, *, by: str, outcome: str | None = None, webhooks: int = 1
    ) -> Refund | Refusal:
        """Queue a refund. There is no idempotency key: asking twice for half gives two halves."""
        charge = self.ledger.find(wanted.transaction)
        if charge is None:
            return TRANSACTION_NOT_FOUND
        amount = decide_refund(charge, self.ledger.refunds_of(charge.id), wanted)
        if isinstance(amount, Refusal):
            return amount
        now = self.now()
        refund = Refund(
            id=self.ledger.new_id(),
            transaction=charge.id,
            reference=charge.reference,
            amount=amount,
            currency=charge.currency,
            domain=charge.domain,
            status="pending",
            outcome=outcome or outcome_for_card(charge.card),
            created_at=now,
            updated_at=now,
            refunded_by=by,
            customer_note=wanted.customer_note or f"Refund for transaction {charge.reference}",
            merchant_note=wanted.merchant_note or f"Refund for transaction {charge.reference} by {by}",
            webhooks=webhooks,
        )
        self._save_refund(refund)
        await self.ledger.saved()
        return refund

    async def force_refund(self, refund: Refund, status: str, webhooks: int | None = None) -> Refund:
        """Put a refund into a status at once, for tests that step through its life."""
        copies = refund.webhooks if webhooks is None else webhooks
        changed = replace(refund, status=status, updated_at=self.now(), webhooks=copies)
        self._save_refund(changed)
        await self.ledger.saved()
        return changed

    async def retry_refund(self, refund: Refund) -> Refund | Refusal:
        """Take up a refund that needed the customer's account number."""
        if refund.status != "needs-attention":
            return REFUND_STATE
        changed = replace(refund, status="processing", outcome="processed", updated_at=self.now())
        self._save_refund(changed)
        await self.ledger.saved()
        return changed

    async def dispute(
        self, charge: Transaction, *, amount: int | None, category: str, due_seconds: float, webhooks: int
    ) -> Dispute | Refusal:
        """Open a dispute, as a customer's bank does."""
        opened = decide_dispute(
            self.ledger.new_id(),
            charge,
            amount=amount,
            category=category,
            due_seconds=due_seconds,
            now=self.now(),
        )
        if isinstance(opened, Refusal):
            return opened
        opened = replace(opened, webhooks=webhooks)
        await self.save_dispute(opened, "charge.dispute.create")
        self._accept_dispute_later(opened)
        return opened

    async def resolve(self, dispute: Dispute, wanted: Resolution, by: str = "merchant") -> Dispute | Refusal:
        """Close a dispute; if it is accepted the charge is reversed."""
        changed = decide_resolution(
            self.ledger.disputes[dispute.id],
            self.ledger.transactions[dispute.transaction],
            wanted,
            self.now(),
            by,
        )
        if isinstance(changed, Refusal):
            return changed
        if is_money_back(changed):
            self.ledger.save(replace(self.ledger.transactions[dispute.transaction], status="reversed"))
        await self.save_dispute(changed, "charge.dispute.resolve")
        return changed

    async def save_dispute(self, dispute: Dispute, event: str | None = None) -> None:
        """Save a dispute and send an event about it, if one is named."""
        self.ledger.save(dispute)
        await self.ledger.saved()
        if event is not None:
            data = render.dispute(dispute, self.ledger.transactions[dispute.transaction])
            self.webhooks.send(event, dispute.reference, data, copies=dispute.webhooks)
        self.bell.ring()

    def resend(self, transaction: Transaction, event: str, copies: int) -> bool:
        """Send an event about a reference again; False if there never was one. A lost ``charge.success`` counts."""
        for delivery in reversed(self.ledger.deliveries.values()):
            if delivery.reference == transaction.reference and delivery.event == event:
                self.webhooks.send_again(event, transaction.reference, delivery.body, copies)
                return True
        if event != "charge.success" or transaction.status not in CAPTURED:
            return False
        self.webhooks.send(event, transaction.reference, render.charge_success(transaction), copies=copies)
        return True

    def _save_refund(self, refund: Refund) -> None:
        self.ledger.save(refund)
        charge = self.ledger.transactions[refund.transaction]
        status = status_after(charge, self.ledger.refunds_of(charge.id), self.settings.partial_refund_status)
        if any(is_money_back(d) for d in self.ledger.disputes_of(charge.id)):
            status = "reversed"
        charge = replace(charge, status=status)
        self.ledger.save(charge)
        event = f"refund.{refund.status}"
        data = render.refund_event(refund, charge, event)
        self.webhooks.send(event, refund.reference, data, copies=refund.webhooks)
        self._advance_refund_later(refund)
        self.bell.ring()

    def _advance_refund_later(self, refund: Refund) -> None:
        if refund.status in REFUND_OPEN - {"needs-attention"}:
            # Two steps lie between pending and the end.
            wait = refund.updated_at + self.settings.refund_seconds / 2 - time.time()
            asyncio.get_running_loop().call_later(max(0, wait), self._advance_refund, refund)

    def _advance_refund(self, seen: Refund) -> None:
        # Somebody may have moved the refund since: then their move set a timer of its own.
        if self._closed or self.ledger.refunds[seen.id] is not seen:
            return
        changed = next_refund(seen, self.now())
        if changed is not None:
            self._save_refund(changed)

    def _accept_dispute_later(self, dispute: Dispute) -> None:
        if dispute.status != "resolved":
            wait = max(0.0, dispute.due_at - time.time())
            asyncio.get_running_loop().call_later(wait, self._accept_dispute, dispute.id)

    def _accept_dispute(self, dispute_id: int) -> None:
        dispute = self.ledger.disputes[dispute_id]
        if self._closed or dispute.status == "resolved":
            return
        wanted = Resolution("auto-accepted", "No answer in time", dispute.refund_amount)
        task = asyncio.get_running_loop().create_task(self.resolve(dispute, wanted, "system"))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
