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
from services.payments.domain import AskFirst, Attempt, Gone, HandOut, Open, Payment, Turn, WaitFor, decide_click
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
#: Longest wait of a click for its turn at the database.
GATE_SECONDS = 15.0
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
    why: Literal["not_known_yet", "provider_away", "crowded"]


@dataclass(frozen=True, slots=True)
class InQueue:
    """Others came first: a place among those who wait, about how long that takes, and until when the order holds."""

    place: int
    wait_seconds: float
    expires_at: datetime
    time_left_seconds: float
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class RefusedByProvider:
    """Paystack will not take this payment."""

    why: str


Outcome = Page | Busy | InQueue | Gone | RefusedByProvider


@dataclass(frozen=True, slots=True)
class _Opening:
    """An attempt that is stored, and about which Paystack is to be called now."""

    payment: Payment
    reference: str
    call: int


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
        # Thousands may click at the same moment. They wait here, and leave connections to webhooks and to those
        # whose page is just being opened.
        self._gate = asyncio.Semaphore(max(1, settings.database_connections // 2))

    def order_page(self, order_id: UUID) -> str:
        """The order's own page, with the token that opens it."""
        return f"{self._settings.storefront_url}/orders/{order_id}?token={self._tokens.make('order', order_id)}"

    async def click(self, order_id: UUID, *, traceparent: str | None = None) -> Outcome:
        """What one click on an order's link gets. Bounded: one wait for the order, one for another click, one call."""
        async with self._arrivals.listening(order_id) as news:
            waited = await self._until_decided(order_id, news, traceparent)
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

    async def _until_decided(self, order_id: UUID, news: asyncio.Event, traceparent: str | None) -> Outcome | _Opening:
        deadline = self._click_ends()
        came_to_open_page, waited, has_asked = False, False, False
        while time.monotonic() < deadline:
            news.clear()
            decision = await self._decide(order_id, has_asked=has_asked)
            if decision is None:
                if not await self._wait_until_known(order_id, news, traceparent):
                    return Busy(2.0, "not_known_yet")
                deadline = self._click_ends()
            elif isinstance(decision, WaitFor):
                waited = True
                await _wait(news, POLL_SECONDS)
            elif isinstance(decision, AskFirst):
                has_asked = True
                await self._verifying.look(decision.attempt.reference, timeout_seconds=RECHECK_SECONDS)
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

    def _click_ends(self) -> float:
        return time.monotonic() + self._settings.paystack_timeout_seconds + LEASE_MARGIN_SECONDS + 1

    async def _decide(
        self, order_id: UUID, *, has_asked: bool
    ) -> HandOut | WaitFor | AskFirst | Gone | Busy | InQueue | _Opening | None:
        """What the click gets now; ``None`` while the order is not known."""
        try:
            async with asyncio.timeout(GATE_SECONDS):
                await self._gate.acquire()
        except TimeoutError:
            return Busy(2.0, "crowded")
        try:
            return await self._decide_now(order_id, has_asked=has_asked)
        finally:
            self._gate.release()

    async def _decide_now(
        self, order_id: UUID, *, has_asked: bool
    ) -> HandOut | WaitFor | AskFirst | Gone | InQueue | _Opening | None:
        settings = self._settings
        async with self._transactions.begin() as tx:
            payment = (await store.lock_payments(tx.connection, order_ids=[order_id])).get(order_id)
            if payment is None or not payment.is_known:
                return None
            now = await tx.read_now()
            attempts = await store.list_attempts(tx.connection, order_ids=[order_id])
            click = decide_click(
                payment,
                attempts,
                now=now,
                last_attempt_seconds=settings.last_attempt_seconds,
                session_seconds=settings.session_seconds,
                has_asked=has_asked,
            )
            if isinstance(click, Gone):
                await store.delete_turn(tx.connection, order_id=order_id)
            if not isinstance(click, Open):
                return click
            # In one transaction with the attempt: a call is counted exactly when an attempt is stored.
            turn = await self._budgets.take_turn(tx.connection, order_id)
            if turn.call is None:
                return self._in_queue(turn, payment, now)
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
        return _Opening(payment, reference, turn.call)

    def _in_queue(self, turn: Turn, payment: Payment, now: datetime) -> InQueue:
        assert payment.expires_at is not None
        # Often enough to be there in time and not to count as gone; seldom enough for thousands who wait.
        most = self._settings.queue_patience_seconds / 3
        return InQueue(
            place=turn.place,
            wait_seconds=turn.wait_seconds,
            expires_at=payment.expires_at,
            time_left_seconds=(payment.expires_at - now).total_seconds() - self._settings.last_attempt_seconds,
            retry_seconds=min(max(turn.wait_seconds / 3, 1.0), most),
        )

    async def _initialise(self, opening: _Opening) -> Outcome:
        payment, reference = opening.payment, opening.reference
        assert payment.amount_kobo is not None
        assert payment.currency is not None
        try:
            page = await self._paystack.initialise(
                call=opening.call,
                reference=reference,
                email=payment.email or "",
                amount_kobo=payment.amount_kobo,
                currency=payment.currency,
                callback_url=f"{self._settings.public_url}/payments/callback",
                cancel_url=self.order_page(payment.order_id),
            )
        except Refused as error:
            _log.error("Paystack refused to initialise", reference=reference, error=str(error))
            is_final = error.http_status != 401
            await self._end_attempt(payment.order_id, reference, "refused", leaves_queue=is_final)
            return RefusedByProvider(error.message) if is_final else Busy(30.0, "provider_away")
        except RateLimited as error:
            # The budget is paused: the next look finds this buyer in the queue, where he stood.
            await self._end_attempt(payment.order_id, reference, "refused")
            return await self._stand_again(payment, error.reset_seconds)
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
            await store.delete_turn(tx.connection, order_id=order_id)
            tx.after_commit(lambda: self._arrivals.notify([order_id]))
        if attempt is None:
            return Busy(1.0, "provider_away")
        if payment.closed_at is not None:
            return Gone("order_over")
        assert payment.expires_at is not None
        return Page(attempt, payment.expires_at)

    async def _stand_again(self, payment: Payment, seconds: float) -> InQueue | Busy:
        async with self._transactions.begin() as tx:
            now = await tx.read_now()
            turn = await self._budgets.look_at_turn(tx.connection, payment.order_id)
        return Busy(seconds, "provider_away") if turn is None else self._in_queue(turn, payment, now)

    async def _end_attempt(
        self, order_id: UUID, reference: str, status: Literal["refused", "unknown"], *, leaves_queue: bool = False
    ) -> None:
        async with self._transactions.begin() as tx:
            await store.lock_payments(tx.connection, order_ids=[order_id])
            await store.mark_attempt(
                tx.connection,
                reference=reference,
                was=["creating"],
                status=status,
                look_after_seconds=UNKNOWN_LOOK_SECONDS if status == "unknown" else None,
            )
            if leaves_queue:
                await store.delete_turn(tx.connection, order_id=order_id)
            else:
                # Before everybody who came later: a call that came to nothing is not this buyer's fault.
                await store.release_turn(tx.connection, order_id=order_id)
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
