"""Who says what to whom: the registry is the design's table, and every model is in it once."""

import importlib
import pkgutil
import re

import shared.contracts
from shared.contracts.base import Message, OrderMessage
from shared.contracts.registry import CONSUMERS, MESSAGES, PRODUCERS, SERVICES, ServiceName

#: The design's table, copied by hand: service -> (takes in, gives out).
TABLE: dict[ServiceName, tuple[str, str]] = {
    "gateway": ("OrderChanged TierChanged", "CheckoutRequested CancelRequested"),
    "orders": (
        """CheckoutRequested CancelRequested StockReserved StockRejected PaymentConfirmed PaymentAbandoned TicketsIssued
        TicketsRevoked StockReturned PaymentRefunded RefundFailed MailFailed MailSent EventCancelled
        DisputeChanged TicketsBlocked""",
        """OrderCreated OrderRejected OrderPaid OrderExpired OrderCancelled RevokeRequested RefundRequested
        OrderRefunded OrderChanged CancellationStarted DisputeNoted BlockRequested""",
    ),
    "inventory": (
        "OrderCreated StockAsked OrderPaid OrderExpired OrderCancelled OrderRefunded CancellationStarted",
        "StockReserved StockRejected StockReturned TierChanged EventCancelled",
    ),
    "payments": (
        "StockReserved DeadlinePassed OrderPaid OrderExpired OrderCancelled TicketsIssued RefundRequested DisputeNoted",
        "StockAsked PaymentConfirmed PaymentAbandoned RefundStarted PaymentRefunded RefundFailed DisputeChanged",
    ),
    "reaper": ("OrderCreated OrderRejected OrderPaid OrderExpired OrderCancelled", "DeadlinePassed"),
    "ticketing": ("OrderPaid RevokeRequested BlockRequested", "TicketsIssued TicketsRevoked TicketsBlocked"),
    "mailer": ("TicketsIssued OrderExpired RefundStarted PaymentRefunded RefundFailed", "MailFailed MailSent"),
}
#: Messages nobody's queue takes: what only a running gateway hears.
FOR_NO_QUEUE = {"OrderChanged", "TierChanged"}


def short(model: type[Message]) -> str:
    """A model's name without its version."""
    return re.sub(r"V[0-9]+$", "", model.__name__)


def test_consumers_and_producers_are_the_designs_table() -> None:
    assert set(TABLE) == set(SERVICES) == set(CONSUMERS)
    for service, (takes_in, gives_out) in TABLE.items():
        assert {short(model) for model in CONSUMERS[service]} == set(takes_in.split()), service
        given = {short(model) for model, producer in PRODUCERS.items() if producer == service}
        assert given == set(gives_out.split()), service


def test_no_message_is_taken_in_twice_or_by_nobody() -> None:
    for service, models in CONSUMERS.items():
        assert len(models) == len(set(models)), service
    heard = {model for service, models in CONSUMERS.items() if service != "gateway" for model in models}
    assert {short(model) for model in PRODUCERS if model not in heard} == FOR_NO_QUEUE


def test_every_model_is_registered_and_declared_in_its_producers_module() -> None:
    declared = set()
    for module in pkgutil.iter_modules(shared.contracts.__path__):
        loaded = importlib.import_module(f"shared.contracts.{module.name}")
        declared |= {
            value
            for value in vars(loaded).values()
            if isinstance(value, type) and issubclass(value, Message) and "TYPE" in vars(value)
        }
    assert declared == set(PRODUCERS)
    for model, producer in PRODUCERS.items():
        assert model.__module__ == f"shared.contracts.{producer}", model


def test_wire_types_are_unique_and_follow_the_class_names() -> None:
    assert len(MESSAGES) == len(PRODUCERS)
    for name, model in MESSAGES.items():
        words = re.findall(r"[A-Z][a-z]*", short(model))
        version = re.search(r"V([0-9]+)$", model.__name__)
        assert version is not None
        assert name == f"{'.'.join(words).lower()}.v{version[1]}"


def test_requests_travel_by_the_direct_exchange_and_facts_by_the_topic_one() -> None:
    requests = {short(model) for model in PRODUCERS if model.COMMAND}
    assert requests == {
        "CheckoutRequested",
        "CancelRequested",
        "RevokeRequested",
        "RefundRequested",
        "StockAsked",
        "DisputeNoted",
        "BlockRequested",
    }
    for model in PRODUCERS:
        takers = [service for service, models in CONSUMERS.items() if model in models]
        assert not model.COMMAND or len(takers) == 1, "a request has one addressee"


def test_every_message_but_these_is_about_an_order() -> None:
    assert {short(model) for model in PRODUCERS if not issubclass(model, OrderMessage)} == {
        "TierChanged",
        "EventCancelled",
        "CancellationStarted",
    }
