"""Given the referee's decision, every order of arrival of an order's messages ends in one state in every service.

Short stories are permuted exhaustively beside each service; here are the whole ones: all that a service hears of one
order, each message twice, in seeded shuffles, through the real handlers and SQL, alone and merged.
"""

import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.contracts.base import Message
from shared.contracts.inventory import StockReturnedV1
from shared.contracts.orders import (
    OrderCancelledV1,
    OrderRefundedV1,
    RefundRequestedV1,
    ReturnedLine,
    RevokeRequestedV1,
)
from shared.contracts.payments import (
    PaymentAbandonedV1,
    PaymentRefundedV1,
    RefundFailedV1,
    RefundStartedV1,
    StockAskedV1,
)
from shared.contracts.reaper import DeadlinePassedV1
from shared.contracts.registry import CONSUMERS, ServiceName
from shared.contracts.ticketing import TicketsRevokedV1
from shared.messaging.topology import durable_consumers
from tests.databases import MakeDatabase
from tests.harness import Bench, Note, delivery_of
from tests.samples import (
    EARLIER,
    EVENT,
    TIER,
    charge_of,
    checkout,
    confirmed,
    created,
    expired,
    issued,
    paid,
    reference_of,
    reserved,
)
from tests.system import build_service, make_settings

SEED = 20_261_123
SEQUENCES = 120

#: What is left of one order in a service, without times, versions, traces and what waits to be sent.
STATES: dict[ServiceName, Sequence[str]] = {
    "orders": (
        """SELECT status, total_kobo, currency, charge_id, ask_at IS NULL AS is_answered, details - 'early' AS details
        FROM orders WHERE order_id = $1""",
        "SELECT count(*) FROM early_messages WHERE order_id = $1",
    ),
    "inventory": ("SELECT status, returned, ask_at IS NULL AS is_ended FROM holds WHERE order_id = $1",),
    "payments": (
        """SELECT amount_kobo, currency, ended, paid_charge_id, ticketed_charge_id, closed_at IS NULL AS is_open
        FROM payments WHERE order_id = $1""",
        "SELECT charge_id, purpose, amount_kobo, status FROM refunds WHERE order_id = $1 ORDER BY charge_id, purpose",
    ),
    "reaper": ("SELECT ended, due_at FROM deadlines WHERE order_id = $1",),
    "ticketing": (
        "SELECT number, tier_id, status FROM tickets WHERE order_id = $1 ORDER BY number",
        "SELECT number, outcome FROM revocations WHERE order_id = $1 ORDER BY number",
    ),
    "mailer": ("SELECT kind, email FROM mails WHERE order_id = $1 ORDER BY kind, email",),
}


def story(kind: str, order_id: UUID) -> Sequence[Message]:
    """All messages of one order's life, as every service together would hear them."""
    charge = charge_of(order_id)
    money: dict[str, Any] = {
        "order_id": order_id,
        "charge_id": charge,
        "reference": f"bx-{charge}",
        "amount_kobo": 1_000_000,
        "currency": "NGN",
        "purpose": "organiser",
        "email": "ada@example.com",
        "why": "rain",
    }
    parts = [money | {"amount_kobo": 500_000, "refund_id": UUID(int=number), "numbers": (number,)} for number in (1, 2)]
    begun: list[Message] = [
        checkout(order_id),
        created(order_id, (TIER, 2), expires_at=EARLIER),
        StockAskedV1(order_id=order_id),
        reserved(order_id, expires_at=EARLIER),
    ]
    bought: list[Message] = [
        *begun, confirmed(order_id), paid(order_id, expires_at=EARLIER), issued(order_id),
    ]  # fmt: skip
    stories: dict[str, list[Message]] = {
        "paid": bought,
        "expired": [
            *begun,
            DeadlinePassedV1(order_id=order_id, expires_at=EARLIER),
            PaymentAbandonedV1(order_id=order_id, expires_at=EARLIER, why="declined"),
            expired(order_id, paying_started=True),
        ],
        "cancelled": [*begun, OrderCancelledV1(order_id=order_id, expires_at=EARLIER)],
        "refunded": [
            *bought,
            RevokeRequestedV1(order_id=order_id, numbers=(1, 2)),
            TicketsRevokedV1(order_id=order_id, numbers=(1, 2)),
            OrderRefundedV1(order_id=order_id, lines=(ReturnedLine(tier_id=TIER, quantity=2),), amount_kobo=1_000_000),
            StockReturnedV1.model_validate({"order_id": order_id, "lines": [{"tier_id": TIER, "quantity": 2}]}),
            RefundRequestedV1(**money),
            RefundStartedV1(**money),
            PaymentRefundedV1(**money),
        ],
        "two refunds": [
            *bought,
            *(RevokeRequestedV1(order_id=order_id, numbers=(number,)) for number in (1, 2)),
            *(TicketsRevokedV1(order_id=order_id, numbers=(number,)) for number in (1, 2)),
            *(
                OrderRefundedV1(
                    order_id=order_id, lines=(ReturnedLine(tier_id=TIER, quantity=places),), amount_kobo=kobo
                )
                for places, kobo in ((1, 500_000), (2, 1_000_000))
            ),
            StockReturnedV1.model_validate({"order_id": order_id, "lines": [{"tier_id": TIER, "quantity": 2}]}),
            *(model(**one) for one in parts for model in (RefundRequestedV1, RefundStartedV1, PaymentRefundedV1)),
        ],
        "refund fails": [*bought, RefundRequestedV1(**money), RefundStartedV1(**money), RefundFailedV1(**money)],
    }
    return stories[kind]


def heard(service: ServiceName, kind: str, order_id: UUID) -> list[Message]:
    """What one service takes in of a story. The referee's own decision is given: its rivals have tests of their own."""
    return [one for one in story(kind, order_id) if type(one) in CONSUMERS[service]]


KINDS = ("paid", "expired", "cancelled", "refunded", "two refunds", "refund fails")
#: Each service with each story of which it hears anything at all.
HEARD = [(service, kind) for service in durable_consumers() for kind in KINDS if heard(service, kind, uuid4())]


@pytest.mark.parametrize(("service", "kind"), HEARD)
async def test_every_order_of_arrival_ends_in_one_state(
    make_database: MakeDatabase, service: ServiceName, kind: str, note: Note
) -> None:
    chosen = random.Random(f"{SEED} {service} {kind}")
    built = build_service(service, make_settings(service, make_database))
    async with Bench(built) as bench:  # type: ignore[arg-type]
        if service == "inventory":
            await stock_up(bench)
        outcomes: dict[str, list[int]] = {}
        for _ in range(SEQUENCES):
            order_id = uuid4()
            messages = [one for one in heard(service, kind, order_id) for _ in range(2)]
            positions = list(range(len(messages)))
            chosen.shuffle(positions)
            await arrive(bench, chosen, [messages[position] for position in positions])
            outcomes.setdefault(await state_of(bench, service, order_id), positions)
        assert len(outcomes) == 1, "\n".join(f"{state} after {positions}" for state, positions in outcomes.items())
    note(f"{service}, {kind}: {SEQUENCES} sequences of {len(messages)} messages, seed {SEED}")


async def arrive(bench: Bench, chosen: random.Random, messages: list[Message]) -> None:
    """Deliver in this order, cut at random into transactions of one or several messages."""
    while messages:
        count = chosen.randint(1, min(4, len(messages)))
        outcomes = await bench.outcomes(*(delivery_of(one) for one in messages[:count]))
        assert len(outcomes) == count
        assert {type(one).__name__ for one in outcomes} == {"Done"}, outcomes
        messages = messages[count:]


async def state_of(bench: Bench, service: ServiceName, order_id: UUID) -> str:
    """What is left, with what differs from order to order taken out."""
    rows = [[dict(row) for row in await bench.fetch(statement, order_id)] for statement in STATES[service]]
    return str(rows).replace(charge_of(order_id), "CHARGE").replace(reference_of(order_id), "REFERENCE")


async def stock_up(bench: Bench) -> None:
    async with bench.service.database.acquire() as connection:
        await connection.execute(
            "INSERT INTO events VALUES ($1, $2, $3, $4, $5, 'NGN')",
            EVENT.id, EVENT.title, EVENT.venue, EVENT.starts_at, EVENT.ends_at,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO tiers (id, event_id, name, price_kobo, capacity, available, max_per_order) "
            "VALUES ($1, $2, 'VIP', 500000, 100000, 100000, 10)",
            TIER, EVENT.id,
        )  # fmt: skip
