"""Issues a ticket again: the old number is revoked and a new one issued, in one transaction."""

from dataclasses import dataclass
from uuid import UUID

from services.ticketing import store
from services.ticketing.domain import IssuedOrder, Place, TicketRow
from services.ticketing.domain_reissue import Refused, Reissue, ReissueRequest, decide_reissue
from services.ticketing.issuing import issue, say_issued
from services.ticketing.signing import Signer
from shared.messaging.transaction import Transaction, Transactions

#: How often an order's tickets are told after one of them was issued again, with pauses that double.
TIMES_TOLD = 8
#: Orders in one transaction.
LIMIT = 200


@dataclass(frozen=True, slots=True)
class Done:
    """The new ticket as it stands now; ``is_new`` unless this repeats an earlier answer."""

    order: IssuedOrder
    ticket: TicketRow
    is_new: bool


class Reissuing:
    """Issues again on request, and tells it more than once: nobody waits for it, so nobody would ask."""

    def __init__(
        self, transactions: Transactions, signer: Signer, *, pause_seconds: float, most_pause_seconds: float
    ) -> None:
        self._transactions = transactions
        self._signer = signer
        self._pause_seconds = pause_seconds
        self._most_pause_seconds = most_pause_seconds

    async def reissue(self, order_id: UUID, request: ReissueRequest) -> Done | Refused:
        """Revoke one ticket and issue another for its place. The order's row is held as it is for every change."""
        async with self._transactions.begin() as tx:
            await tx.read_now()
            await store.lock_orders(tx.connection, order_ids=[order_id])
            orders = await store.list_issued_orders(tx.connection, order_ids=[order_id])
            if order_id not in orders:
                return Refused("not_found")
            decision = await self._decide(tx, orders[order_id], request)
            if isinstance(decision, Refused):
                return decision
            if isinstance(decision, Place):
                await self._replace(tx, decision, request)
            number = decision.number if isinstance(decision, Place) else decision.new_number
            tickets = await store.list_tickets(tx.connection, order_ids=[order_id])
            ticket = next(one for one in tickets if one.issued.number == number)
            return Done(orders[order_id], ticket, is_new=isinstance(decision, Place))

    async def _decide(self, tx: Transaction, order: IssuedOrder, request: ReissueRequest) -> Place | Reissue | Refused:
        rows = await store.list_tickets(tx.connection, order_ids=[order.order_id])
        # A gate that lets one of them in at this moment holds its row: whoever is first wins.
        keys = await store.lock_tickets(tx.connection, keys=[(order.order_id, row.issued.number) for row in rows])
        admitted = {number for _, number in await store.list_admitted(tx.connection, keys=keys)}
        earlier = await store.list_reissues(tx.connection, order_id=order.order_id)
        return decide_reissue(request, order, rows, earlier={one.number: one for one in earlier}, admitted=admitted)

    async def _replace(self, tx: Transaction, place: Place, request: ReissueRequest) -> None:
        # First the old one: the table allows one valid ticket a place.
        await store.mark_tickets_revoked(tx.connection, keys=[(place.order_id, request.number)], now=tx.now)
        await issue(tx, self._signer, [place])
        await store.insert_reissue(
            tx.connection,
            order_id=place.order_id,
            reissue=Reissue(request.number, place.number, request),
            now=tx.now,
            say_again_seconds=self._pause_seconds,
        )
        await say_issued(tx, {place.order_id: None})

    async def say_again(self) -> float | None:
        """Tell what is due to be told again; returns the seconds until the next is."""
        async with self._transactions.begin() as tx:
            order_ids = await store.take_reissues_to_say(
                tx.connection,
                limit=LIMIT,
                times=TIMES_TOLD,
                pause_seconds=self._pause_seconds,
                most_pause_seconds=self._most_pause_seconds,
            )
            await say_issued(tx, dict.fromkeys(order_ids))
            seconds = await store.get_seconds_to_say(tx.connection)
        return None if seconds is None else max(seconds, 0.0)
