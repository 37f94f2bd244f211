"""Ticketing's rivals, let loose at once or stepped by hand: real locks on real PostgreSQL."""

import asyncio

from services.ticketing.service import build
from shared.contracts.orders import RevokeRequestedV1
from shared.contracts.ticketing import TicketsIssuedV1, TicketsRevokedV1
from shared.messaging.handling import Done
from tests.databases import MakeDatabase
from tests.harness import PATIENCE_SECONDS, Bench, delivery_of
from tests.ticket_samples import ADMIT, order_paid, sold_event, ticketing_settings
from tests.waiting import until


async def test_many_copies_at_once_issue_one_set_of_tickets(make_database: MakeDatabase) -> None:
    """Two replicas get twenty copies of a batch at the same instant, in opposite orders within."""
    url = make_database("ticketing")
    event = sold_event()
    orders = [order_paid((2,), serial=serial, event=event) for serial in range(10)]
    revokes = [RevokeRequestedV1(order_id=order.order_id, numbers=(2,)) for order in orders]
    settings = ticketing_settings(url, database_connections=10)
    async with Bench(build(settings)) as one, Bench(build(settings)) as other:
        outcomes = await asyncio.gather(
            *(one.outcomes(delivery_of(*orders)) for _ in range(5)),
            *(other.outcomes(delivery_of(*reversed(orders))) for _ in range(5)),
            *(one.outcomes(delivery_of(*revokes)) for _ in range(5)),
            *(other.outcomes(delivery_of(*reversed(revokes))) for _ in range(5)),
        )
        assert outcomes == [[Done()]] * 20
        assert await one.value("SELECT count(*) FROM tickets WHERE status = 'valid' AND number = 1") == 10
        assert await one.value("SELECT count(*) FROM tickets WHERE status = 'revoked' AND number = 2") == 10
        assert await one.value("SELECT count(*) FROM tickets") == 20
        issued = await one.given_out(TicketsIssuedV1)
        codes = {(answer.order_id, ticket.number, ticket.code) for answer in issued for ticket in answer.tickets}
        assert len({(order_id, number) for order_id, number, _ in codes}) == len(codes)


async def test_a_gate_that_admits_while_a_ticket_is_being_revoked_wins(make_database: MakeDatabase) -> None:
    order = order_paid((1,))
    async with Bench(build(ticketing_settings(make_database("ticketing")))) as bench:
        await bench.deliver(order)
        async with bench.service.database.acquire() as gate:
            admission = gate.transaction()
            await admission.start()
            await gate.execute(ADMIT, order.order_id, 1)
            revoking = asyncio.create_task(bench.deliver(RevokeRequestedV1(order_id=order.order_id, numbers=(1,))))
            await until(
                lambda: bench.value("SELECT count(*) FROM pg_locks WHERE NOT granted"),
                PATIENCE_SECONDS,
                "revoking waits for the gate",
            )
            await admission.commit()
            await asyncio.wait_for(revoking, PATIENCE_SECONDS)
        (answer,) = await bench.given_out(TicketsRevokedV1)
        assert answer.numbers == ()
        assert [refused.why for refused in answer.refused] == ["the ticket was already admitted"]
        assert await bench.value("SELECT status FROM tickets") == "valid"
