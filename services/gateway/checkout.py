"""One checkout: hand the command over to the broker, wait for the outcome."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from services.gateway.asking import Answers, Asking
from services.gateway.client import ServiceClient, Unavailable
from services.gateway.commands import Commands
from services.gateway.domain import CheckoutOutcome, decide_outcome, is_answered, is_ended, is_known
from services.gateway.watching import Listener, Watches
from shared.contracts.gateway import CancelRequestedV1, CheckoutRequestedV1
from shared.contracts.orders import OrderChangedV1
from shared.messaging.exceptions import MessagingError

#: Seconds for the last look at orders when a wait is over.
LAST_LOOK_SECONDS = 1.0


class NotAccepted(Exception):
    """Nobody can say whether the broker has the command: the same request again is safe, and needed."""


@dataclass(frozen=True, slots=True)
class CheckoutRequest:
    """A checkout whose body is valid."""

    command: CheckoutRequestedV1
    wait_seconds: float
    #: Whether the client may have sent this before: it chose the key.
    is_repeatable: bool
    traceparent: str | None

    @property
    def order_id(self) -> UUID:
        """The order this asks for."""
        return self.command.order_id


class Desk:
    """Takes checkouts and cancellations."""

    def __init__(
        self,
        watches: Watches,
        checkouts: Commands,
        cancellations: Commands,
        asking: Asking,
        client: ServiceClient,
        *,
        confirm_seconds: float,
    ) -> None:
        self._watches = watches
        self._checkouts = checkouts
        self._cancellations = cancellations
        self._asking = asking
        self._client = client
        self._confirm_seconds = confirm_seconds

    async def check_out(self, request: CheckoutRequest) -> CheckoutOutcome:
        """The outcome, or Unanswered when the wait is over. Raises NotAccepted, Overloaded."""
        # Listening comes before publishing, or the answer could come in between.
        with self._watches.listen(request.order_id) as listener:
            try:
                await self._hand_over(request, listener)
            except NotAccepted:
                # The order may be known from an earlier call, and then the broker is not needed for the answer.
                await self._look(listener, worth_it=request.is_repeatable)
                if listener.view is None:
                    raise
            view = await self._wait_for_outcome(request, listener)
        return decide_outcome(view, request.command.request_hash)

    async def cancel(
        self, order_id: UUID, command: CancelRequestedV1, *, wait_seconds: float, traceparent: str | None
    ) -> OrderChangedV1 | None:
        """The order once it has ended, in whatever way; what is known of it when the wait is over.

        Raises NotAccepted, Overloaded.
        """
        with self._watches.listen(order_id) as listener:
            await self._look(listener, worth_it=True)
            if listener.view is None or not is_ended(listener.view):
                await self._confirm(self._cancellations.send(command, traceparent), listener, is_ended)
                self._asking.remember(command, traceparent)
                try:
                    async with asyncio.timeout(wait_seconds):
                        await listener.until(is_ended)
                except TimeoutError:
                    await self._look(listener, worth_it=True)
            if listener.view is not None and is_ended(listener.view):
                self._asking.forget(command)
            return listener.view

    async def _hand_over(self, request: CheckoutRequest, listener: Listener) -> None:
        if listener.view is not None:
            return  # Orders has it already, and somebody here follows it.
        sent = self._checkouts.send(request.command, request.traceparent)
        await self._confirm(sent, listener, is_known)
        if listener.view is None:
            self._asking.remember(request.command, request.traceparent)

    async def _confirm(self, sent: "asyncio.Future[None]", listener: Listener, answers: Answers) -> None:
        """Return when the broker has the command, or an answer shows that orders has it."""
        sent.add_done_callback(listener.wake)
        try:
            async with asyncio.timeout(self._confirm_seconds):
                while not (listener.view is not None and answers(listener.view)):
                    if sent.done():
                        return sent.result()
                    await listener.woken()
        except (TimeoutError, MessagingError) as error:
            # Past this moment it is not sent any more, if it still waits; if it is on its way, nobody can tell.
            sent.cancel()
            raise NotAccepted(str(error) or "the broker did not answer in time") from error

    async def _wait_for_outcome(self, request: CheckoutRequest, listener: Listener) -> OrderChangedV1 | None:
        try:
            if request.wait_seconds > 0:
                async with asyncio.timeout(request.wait_seconds):
                    await listener.until(is_answered)
        except TimeoutError:
            pass
        if listener.view is None or not is_answered(listener.view):
            # The news may have been lost on its way here; a client that never waits and has just made its key
            # cannot have an order yet.
            await self._look(listener, worth_it=request.is_repeatable or request.wait_seconds > 0)
        if listener.view is not None:
            self._asking.forget(request.command)
        return listener.view

    async def _look(self, listener: Listener, *, worth_it: bool) -> None:
        """Read the order from its owner, if that answers soon."""
        if not worth_it:
            return
        try:
            view = await self._client.get_order(listener.order_id, timeout_seconds=LAST_LOOK_SECONDS)
        except Unavailable:
            return
        if view is not None:
            self._watches.tell(view)
