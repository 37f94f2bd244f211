"""What the gateway decides, without any engine."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr, ValidationError

from services.gateway.domain import (
    KeyReused,
    Known,
    Preference,
    Rejected,
    Unanswered,
    decide_outcome,
    order_id_of,
    read_key,
    read_preference,
    request_hash_of,
)
from services.gateway.settings import GatewaySettings
from services.gateway.watching import MAX_UNREAD, Watches
from shared.contracts.base import Item
from shared.contracts.orders import OrderChangedV1

SECRET = b"a secret of the tests"
KEY = "6f2a1e0c9b8d47a3a5f1c2d3e4b5a697"
HASH = "ab" * 32


def view(**changes: Any) -> OrderChangedV1:
    fields: dict[str, Any] = {"order_id": UUID(int=1), "version": 1, "status": "pending", "request_hash": HASH}
    return OrderChangedV1(**fields | changes)


def settings(**changes: Any) -> GatewaySettings:
    fields: dict[str, Any] = {
        "amqp_url": "amqp://u:p@127.0.0.1:5672/",
        "token_keys": "new:0123456789abcdef0,old:0123456789abcdef1",
        "service_token": "service",
        "orders_url": "http://orders",
        "inventory_url": "http://inventory/",
        "payments_public_url": "https://pay.example",
        "public_url": "https://tickets.example/",
    }
    return GatewaySettings(**fields | changes)


def test_a_key_names_one_order_for_ever() -> None:
    order_id = order_id_of(SECRET, KEY)
    # Written down: a release that derived another id would make a second order out of a repeat.
    assert str(order_id) == "93225cb6-6d92-8410-9960-5e027da2df47"
    assert order_id.version == 8
    assert order_id_of(SECRET, KEY + "x") != order_id
    assert order_id_of(SECRET + b"x", KEY) != order_id


def test_the_order_of_a_key_outlives_a_new_token_key() -> None:
    before = settings(token_keys="old:0123456789abcdef1").order_secret
    assert settings().order_secret == before
    kept = settings(token_keys="new:0123456789abcdef0", idempotency_secret="0123456789abcdef1")
    assert kept.order_secret == before


@pytest.mark.parametrize("key", ["", "short", "x" * 15, "x" * 65, "spaces are not allowed", "é" * 16])
def test_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="16 to 64"):
        read_key(key)


def test_a_key_may_stand_in_quotes() -> None:
    assert read_key(None) is None
    assert read_key(f'"{KEY}"') == read_key(KEY) == KEY


def test_the_hash_is_of_what_is_asked_and_not_of_how() -> None:
    one, two = Item(tier_id=uuid4(), quantity=1), Item(tier_id=uuid4(), quantity=2)
    first = request_hash_of("a@example.com", [one, two])
    assert first == request_hash_of("a@example.com", [two, one])
    assert first != request_hash_of("b@example.com", [one, two])
    assert first != request_hash_of("a@example.com", [one])
    assert first != request_hash_of("a@example.com", [one, two, two])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Preference(3.0)),
        (["wait=5"], Preference(5.0, "wait=5")),
        (["wait=0"], Preference(0.0, "wait=0")),
        (["wait=999"], Preference(30.0, "wait=30")),
        (["wait=" + "9" * 5000], Preference(30.0, "wait=30")),
        (["respond-async"], Preference(0.0, "respond-async")),
        (["respond-async, wait=10"], Preference(10.0, "wait=10")),
        (["return=minimal", 'Wait="7"; x=1'], Preference(7.0, "wait=7")),
        (["wait=-1"], Preference(3.0)),
        (["wait=1.5"], Preference(3.0)),
        (["wait"], Preference(3.0)),
        (["wait=٣"], Preference(3.0)),
        ([",,;=,"], Preference(3.0)),
    ],
)
def test_preferences_are_read_and_bounded(headers: list[str], expected: Preference) -> None:
    assert read_preference(headers, default_seconds=3.0, most_seconds=30.0) == expected


def test_an_outcome_is_known_when_priced_or_ended() -> None:
    tier = uuid4()
    priced = view(total_kobo=0)
    assert decide_outcome(None, HASH) == Unanswered()
    assert decide_outcome(view(), HASH) == Unanswered()
    assert decide_outcome(priced, HASH) == Known(priced)
    rejected = view(status="rejected", reason="sold_out", tier_id=tier)
    assert decide_outcome(rejected, HASH) == Rejected("sold_out", tier)
    for status in ("paid", "expired", "cancelled", "refunding", "refunded"):
        assert isinstance(decide_outcome(view(status=status), HASH), Known)


def test_another_body_is_noticed_before_anything_is_said_about_the_order() -> None:
    for other in (view(), view(total_kobo=5), view(status="rejected", reason="sold_out")):
        assert decide_outcome(other, "cd" * 32) == KeyReused()


def test_news_that_is_not_newer_is_dropped() -> None:
    async def run() -> None:
        watches = Watches()
        first, second = watches.listen(UUID(int=1)), watches.listen(UUID(int=1))
        watches.tell(view(version=2))
        watches.tell(view(version=1))
        watches.tell(view(version=2))
        assert [one.version for one in first.take()] == [2]
        late = watches.listen(UUID(int=1))
        assert late.view is not None
        assert late.take() == []
        for version in range(3, 3 + 2 * MAX_UNREAD):
            watches.tell(view(version=version))
        assert len(second.take()) == MAX_UNREAD
        for listener in (first, second, late):
            listener.close()
        assert not watches.is_watched(UUID(int=1))
        late.close()
        watches.tell(view(version=999))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"token_keys": "nonsense"}, "token_keys"),
        ({"token_keys": "k:short"}, "token_keys"),
        ({"service_token": ""}, "service_token"),
        ({"orders_url": "orders:8084"}, "orders_url"),
        ({"public_url": "https://tickets.example/?x=1"}, "public_url"),
        ({"idempotency_secret": "short"}, "idempotency_secret"),
        ({"wait_seconds": 31}, "wait_seconds"),
        ({"amqp_url": "http://x"}, "amqp_url"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_and_not_repeated(changes: dict[str, str], name: str) -> None:
    with pytest.raises(ValidationError) as error:
        settings(**changes)
    assert [one["loc"] for one in error.value.errors()] == [(name,)]
    assert "nonsense" not in str(error.value)


def test_urls_are_joined_without_doubled_slashes() -> None:
    assert settings().public_url == "https://tickets.example"
    assert isinstance(settings().token_keys, SecretStr)
