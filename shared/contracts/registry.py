"""The one list of all messages: wire type to model, with the service that gives it out and those that take it in."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from shared.contracts.base import Message
from shared.contracts.gateway import CancelRequestedV1, CheckoutRequestedV1
from shared.contracts.inventory import (
    EventCancelledV1,
    StockRejectedV1,
    StockReservedV1,
    StockReturnedV1,
    TierChangedV1,
)
from shared.contracts.mailer import MailFailedV1, MailSentV1
from shared.contracts.orders import (
    BlockRequestedV1,
    CancellationStartedV1,
    DisputeNotedV1,
    OrderCancelledV1,
    OrderChangedV1,
    OrderCreatedV1,
    OrderExpiredV1,
    OrderPaidV1,
    OrderRefundedV1,
    OrderRejectedV1,
    RefundRequestedV1,
    RevokeRequestedV1,
)
from shared.contracts.payments import (
    DisputeChangedV1,
    PaymentAbandonedV1,
    PaymentConfirmedV1,
    PaymentRefundedV1,
    RefundFailedV1,
    RefundStartedV1,
    StockAskedV1,
)
from shared.contracts.reaper import DeadlinePassedV1
from shared.contracts.ticketing import TicketsBlockedV1, TicketsIssuedV1, TicketsRevokedV1

ServiceName = Literal["gateway", "orders", "inventory", "payments", "reaper", "ticketing", "mailer"]
SERVICES: tuple[ServiceName, ...] = get_args(ServiceName)

#: Which service gives a message out. A model is declared once, in the module of that service.
PRODUCERS: Mapping[type[Message], ServiceName] = MappingProxyType(
    {
        CheckoutRequestedV1: "gateway",
        CancelRequestedV1: "gateway",
        OrderCreatedV1: "orders",
        OrderRejectedV1: "orders",
        OrderPaidV1: "orders",
        OrderExpiredV1: "orders",
        OrderCancelledV1: "orders",
        RevokeRequestedV1: "orders",
        RefundRequestedV1: "orders",
        OrderRefundedV1: "orders",
        OrderChangedV1: "orders",
        CancellationStartedV1: "orders",
        DisputeNotedV1: "orders",
        BlockRequestedV1: "orders",
        StockReservedV1: "inventory",
        StockRejectedV1: "inventory",
        StockReturnedV1: "inventory",
        TierChangedV1: "inventory",
        EventCancelledV1: "inventory",
        StockAskedV1: "payments",
        PaymentConfirmedV1: "payments",
        PaymentAbandonedV1: "payments",
        RefundStartedV1: "payments",
        PaymentRefundedV1: "payments",
        RefundFailedV1: "payments",
        DisputeChangedV1: "payments",
        DeadlinePassedV1: "reaper",
        TicketsIssuedV1: "ticketing",
        TicketsRevokedV1: "ticketing",
        TicketsBlockedV1: "ticketing",
        MailFailedV1: "mailer",
        MailSentV1: "mailer",
    }
)

#: Which messages a service takes in, in the order in which one transaction handles them:
#: what begins an order before what ends it, so that a merged batch seldom meets its messages back to front.
CONSUMERS: Mapping[ServiceName, tuple[type[Message], ...]] = MappingProxyType(
    {
        "gateway": (OrderChangedV1, TierChangedV1),
        "orders": (
            CheckoutRequestedV1,
            StockReservedV1,
            StockRejectedV1,
            PaymentConfirmedV1,
            PaymentAbandonedV1,
            CancelRequestedV1,
            TicketsIssuedV1,
            TicketsRevokedV1,
            StockReturnedV1,
            PaymentRefundedV1,
            RefundFailedV1,
            DisputeChangedV1,
            TicketsBlockedV1,
            MailFailedV1,
            MailSentV1,
            EventCancelledV1,
        ),
        "inventory": (
            OrderCreatedV1,
            StockAskedV1,
            OrderPaidV1,
            OrderExpiredV1,
            OrderCancelledV1,
            OrderRefundedV1,
            CancellationStartedV1,
        ),
        "payments": (
            StockReservedV1,
            OrderPaidV1,
            OrderExpiredV1,
            OrderCancelledV1,
            DeadlinePassedV1,
            TicketsIssuedV1,
            RefundRequestedV1,
            DisputeNotedV1,
        ),
        "reaper": (OrderCreatedV1, OrderRejectedV1, OrderPaidV1, OrderExpiredV1, OrderCancelledV1),
        "ticketing": (OrderPaidV1, RevokeRequestedV1, BlockRequestedV1),
        "mailer": (TicketsIssuedV1, OrderExpiredV1, RefundStartedV1, PaymentRefundedV1, RefundFailedV1),
    }
)

MESSAGES: Mapping[str, type[Message]] = MappingProxyType({model.TYPE: model for model in PRODUCERS})

#: What a service is for, in a sentence or two for whoever reads its interface.
ABOUT: Mapping[ServiceName, str] = MappingProxyType(
    {
        "gateway": "The shop: choose, order, follow and cancel. It has no database; what it accepts is durable.",
        "orders": "Orders and their status, for operators and for the gateway: the referee between payment and expiry.",
        "inventory": "Events, tiers, prices and places, for organisers and for the gateway.",
        "payments": "Links to pay, Paystack's webhooks, and the books of every charge and refund.",
        "reaper": "Deadlines of orders. It speaks in messages; over HTTP it tells an operator of one order's.",
        "ticketing": "Tickets, the keys that verify them, and what was revoked.",
        "mailer": "Mail to buyers. It hears messages; over HTTP operators see what was mailed, and send it again.",
    }
)
