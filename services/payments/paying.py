"""A click on the link to pay: wait for the order, hand out the open page or open one, within the rate budget."""

import asyncio
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import structlog

from services.payments import store
from services.payments.arrivals import Arrivals
from services.payments.budget import Budgets
from services.payments.domain import Attempt, Gone, HandOut, Open, Payment, WaitFor, decide_click
from services.payments.exceptions import NotSent, RateLimited, Refused, Unknown
from services.payments.paystack import Initialised, Paystack
from services.payments.settings import PaymentsSettings
from services.payments.verifying import Verifying
from shared.contracts.payments import StockAskedV1
from shared.http.tokens import Tokens
from shared.messaging.transaction import Transactions

_log = structlog.get_logger()

#: Seconds between two looks for news that another replica committed.
POLL_SECONDS = 0.25
#: Seconds by which an attempt's lease outlives the call's own time-out.
LEASE_MARGIN_SECONDS = 5.0
#: Seconds after which a link asks for the reservation of an order that payments has not heard of.
ASK_AFTER_SECONDS = 0.5
#: Seconds after which an attempt of unknown outcome is looked up: the call may still be under way.
UNKNOWN_LOOK_SECONDS = 5.0
#: Longest look at an open attempt before its page is handed out again.
RECHECK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Page:
    """Where to pay, and until when."""

    attempt: Attempt
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Busy:
    """Not now, but soon: come back after ``seconds``."""

    seconds: float
    why: Literal["not_known_yet", "over_budget", "provider_away"]


@dataclass(frozen=True, slots=True)
class RefusedByProvider:
    """Paystack will not take this payment."""

    why: str


Outcome = Page | Busy | Gone | RefusedByProvider


@dataclass(frozen=True, slots=True)
class _Opening:
    """An attempt that is stored, and about which Paystack is to be called now."""

    payment: Payment
    reference: str


class Paying:
    """Opens pages to pay."""

    def __init__(
        self,
        transactions: Transactions,
        paystack: Paystack,
        budgets: Budgets,
        verifying: Verifying,
        arrivals: Arrivals,
        tokens: Tokens,
        settings: PaymentsSettings,
    ) -> None:
        self._transactions = transactions
        self._paystack = paystack
        self._budgets = budgets
        self._verifying = verifying
        self._arrivals = arrivals
        self._tokens = tokens
        self._settings = settings

    def order_page(self, order_id: UUID) -> str:
        """The order's own page, with the token that opens it."""
        return f"{self._settings.storefront_url}/orders/{order_id}?token={self._tokens.make('order', order_id)}"

    async def click(self, order_id: UUID, *, traceparent: str | None = None) -> Outcome:
        """What one click on an order's link gets. Bounded: one wait for the order, one for another click, one call."""
        async with self._arrivals.listening(order_id) as news:
            if not await self._wait_until_known(order_id, news, traceparent):
                return Busy(2.0, "not_known_yet")
            waited = await self._until_decided(order_id, news)
        if isinstance(waited, _Opening):
            return await self._initialise(waited)
        return waited

    async def _wait_until_known(self, order_id: UUID, news: asyncio.Event, traceparent: str | None) -> bool:
        started = time.monotonic()
        deadline = started + self._settings.link_wait_seconds
        pause, has_asked = POLL_SECONDS, False
        while True:
            news.clear()
            async with self._transactions.begin() as tx:
                payments = await store.list_payments(tx.connection, order_ids=[order_id])
                is_known = order_id in payments and payments[order_id].is_known
                # The reservation is on its way, nearly always; a buyer at the door is worth asking for a lost one.
                if not is_known and not has_asked and time.monotonic() - started >= ASK_AFTER_SECONDS:
                    tx.emit(StockAskedV1(order_id=order_id), traceparent=traceparent)
                    has_asked = True
            if is_known:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await _wait(news, min(left, pause))
            pause = min(pause * 2, 1.0)

    async def _until_decided(self, order_id: UUID, news: asyncio.Event) -> Outcome | _Opening:
        deadline = time.monotonic() + self._settings.paystack_timeout_seconds + LEASE_MARGIN_SECONDS + 1
        came_to_open_page, waited = False, False
        while time.monotonic() < deadline:
            news.clear()
            decision = await self._decide(order_id)
            if isinstance(decision, WaitFor):
                waited = True
                await _wait(news, POLL_SECONDS)
            elif isinstance(decision, HandOut) and not waited and not came_to_open_page:
                # The page was there before this click. Its payment may have failed or gone through since, and then
                # the buyer needs another page, or none.
                came_to_open_page = True
                await self._verifying.look(decision.attempt.reference, timeout_seconds=RECHECK_SECONDS)
            elif isinstance(decision, HandOut):
                return await self._page(decision.attempt)
            else:
                return decision
        return Busy(2.0, "provider_away")

    async def _decide(self, order_id: UUID) -> HandOut | WaitFor | Gone | Busy | _Opening:
        settings = self._settings
        async with self._transactions.begin() as tx:
            now = await tx.read_now()
            payment = (await store.lock_payments(tx.connection, order_ids=[order_id]))[order_id]
            attempts = await store.list_attempts(tx.connection, order_ids=[order_id])
            click = decide_click(
                payment,
                attempts,
                now=now,
                last_attempt_seconds=settings.last_attempt_seconds,
                session_seconds=settings.session_seconds,
            )
            if not isinstance(click, Open):
                return click
            # In one transaction with the attempt: a call is counted exactly when an attempt is stored.
            wait = await self._budgets.wait_seconds(tx.connection, "initialise")
            if wait > 0:
                return Busy(wait, "over_budget")
            if click.stale is not None:
                await store.mark_attempt(
                    tx.connection,
                    reference=click.stale.reference,
                    was=[click.stale.status],
                    status=click.stale_status,
                    look_after_seconds=0.0,
                )
            reference = f"{settings.reference_prefix}{payment.order_reference}-{secrets.token_hex(10)}"
            assert payment.amount_kobo is not None
            assert payment.currency is not None
            await store.insert_attempt(
                tx.connection,
                reference=reference,
                order_id=order_id,
                amount_kobo=payment.amount_kobo,
                currency=payment.currency,
                lease_seconds=settings.paystack_timeout_seconds + LEASE_MARGIN_SECONDS,
            )
        return _Opening(payment, reference)

    async def _initialise(self, opening: _Opening) -> Outcome:
        payment, reference = opening.payment, opening.reference
        assert payment.amount_kobo is not None
        assert payment.currency is not None
        try:
            page = await self._paystack.initialise(
                reference=reference,
                email=payment.email or "",
                amount_kobo=payment.amount_kobo,
                currency=payment.currency,
                callback_url=f"{self._settings.public_url}/payments/callback",
                cancel_url=self.order_page(payment.order_id),
            )
        except Refused as error:
            _log.error("Paystack refused to initialise", reference=reference, error=str(error))
            await self._end_attempt(payment.order_id, reference, "refused")
            if error.http_status == 401:
                return Busy(30.0, "provider_away")
            return RefusedByProvider(error.message)
        except RateLimited as error:
            await self._end_attempt(payment.order_id, reference, "refused")
            await self._budgets.pause("initialise", error.reset_seconds)
            return Busy(error.reset_seconds, "over_budget")
        except NotSent as error:
            _log.warning("Paystack cannot be reached", error=str(error))
            await self._end_attempt(payment.order_id, reference, "refused")
            return Busy(5.0, "provider_away")
        except Unknown as error:
            _log.warning("it is unknown whether a page was opened", reference=reference, error=str(error))
            await self._end_attempt(payment.order_id, reference, "unknown")
            return Busy(2.0, "provider_away")
        return await self._record(payment.order_id, reference, page)

    async def _record(self, order_id: UUID, reference: str, page: Initialised) -> Outcome:
        """Store the page. It is handed out only if the payment is still open: this answer may come late."""
        async with self._transactions.begin() as tx:
            payment = (await store.lock_payments(tx.connection, order_ids=[order_id]))[order_id]
            attempt = await store.mark_attempt_open(
                tx.connection,
                reference=reference,
                authorization_url=page.authorization_url,
                access_code=page.access_code,
                # While the order's end is being decided, this attempt is asked about at once like the others.
                look_after_seconds=0.0 if payment.is_closing else self._settings.verify_open_seconds,
            )
            tx.after_commit(lambda: self._arrivals.notify([order_id]))
        if attempt is None:
            return Busy(1.0, "provider_away")
        if payment.closed_at is not None:
            return Gone("order_over")
        assert payment.expires_at is not None
        return Page(attempt, payment.expires_at)

    async def _end_attempt(self, order_id: UUID, reference: str, status: Literal["refused", "unknown"]) -> None:
        async with self._transactions.begin() as tx:
            await store.lock_payments(tx.connection, order_ids=[order_id])
            await store.mark_attempt(
                tx.connection,
                reference=reference,
                was=["creating"],
                status=status,
                look_after_seconds=UNKNOWN_LOOK_SECONDS if status == "unknown" else None,
            )
            tx.after_commit(lambda: self._arrivals.notify([order_id]))

    async def _page(self, attempt: Attempt) -> Outcome:
        async with self._transactions.begin() as tx:
            payments = await store.list_payments(tx.connection, order_ids=[attempt.order_id])
        expires_at = payments[attempt.order_id].expires_at
        assert expires_at is not None
        return Page(attempt, expires_at)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
