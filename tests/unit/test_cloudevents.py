"""The wire form: batches of at most 500 events and 1 MiB, and a clear word about everything else."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.cloudevents import (
    CONTENT_TYPE,
    MAX_BYTES,
    MAX_EVENTS,
    decode_batch,
    encode_batches,
    encode_event,
    split_batch,
)
from shared.messaging.delivery import Delivery, message_id_of
from shared.messaging.exceptions import UnknownType, Unreadable
from shared.runtime.ids import derived_id, new_id
from tests.harness import delivery_of, event_of
from tests.samples import checkout, created

TYPE = "checkout.requested.v1"


def envelope(**changes: Any) -> dict[str, Any]:
    one: dict[str, Any] = orjson.loads(encode_event(event_of(checkout())))
    return one | changes


def delivery(
    body: bytes, content_type: str | None = CONTENT_TYPE, message_type: str = TYPE, **headers: Any
) -> Delivery:
    return Delivery(new_id(), message_type, content_type, body, headers)


@given(st.integers(min_value=1, max_value=1203))
def test_batches_hold_at_most_500_events_in_order(count: int) -> None:
    events = [event_of(one) for one in [checkout()] * count]
    batches = list(encode_batches(events))
    assert [size for _, size in batches] == [MAX_EVENTS] * (count // MAX_EVENTS) + [count % MAX_EVENTS] * (
        count % MAX_EVENTS > 0
    )
    read = [event for body, _ in batches for event in decode_batch(body, CONTENT_TYPE, TYPE)]
    assert read == events


def test_batches_hold_at_most_a_mebibyte() -> None:
    events = [event_of(checkout(email=f"{'a' * 200}@example.com", request_hash="ab" * 32)) for _ in range(500)]
    padded = [event.__class__(event.id, event.time, event.data, f"00-{'1' * 32}-{'2' * 16}-01") for event in events]
    batches = list(encode_batches(padded * 6))
    assert sum(size for _, size in batches) == 3000
    assert all(len(body) <= MAX_BYTES for body, _ in batches)


def test_an_event_larger_than_a_batch_is_refused_where_it_is_made() -> None:
    lines = created().model_copy(update={"email": "x" * MAX_BYTES})
    with pytest.raises(ValueError, match=r"order\.created\.v1 event of \d+ bytes exceeds"):
        list(encode_batches([event_of(lines)]))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"[{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"{}", "not a list of 1 to 500"),
        (b"[]", "not a list of 1 to 500"),
        (b"[" + b",".join([b"{}"] * 501) + b"]", "not a list of 1 to 500"),
        (b"[1]", "event 0 is malformed"),
        (b"[null]", "event 0 is malformed"),
        (b"[" * 100_000, "not JSON"),
        (b" " * (MAX_BYTES + 1), "1048576 is the most"),
        (orjson.dumps([envelope(specversion="0.3")]), "not a CloudEvents 1.0 event"),
        (orjson.dumps([envelope(type="order.created.v1")]), "not a CloudEvents 1.0 event"),
        (orjson.dumps([envelope(id="x")]), "event 0 is malformed"),
        (orjson.dumps([envelope(time="yesterday")]), "event 0 is malformed"),
        (orjson.dumps([envelope(data=None)]), "event 0"),
        (orjson.dumps([envelope(), envelope(data={})]), "event 1, order_id: Field required"),
    ],
)
def test_what_is_no_batch_is_unreadable_and_says_why(body: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        decode_batch(body, CONTENT_TYPE, TYPE)


@pytest.mark.parametrize("name", ["checkout.requested.v2", "", None])
def test_an_unknown_type_or_version_is_named(name: str | None) -> None:
    with pytest.raises(UnknownType, match="no model reads the type"):
        decode_batch(b"[]", CONTENT_TYPE, name)


@given(st.binary(max_size=200))
def test_any_octets_get_an_answer(body: bytes) -> None:
    one = delivery(body)
    assert one.unreadable is not None
    assert one.events == ()


NAMES = st.sampled_from(["specversion", "id", "type", "time", "data", "order_id", "traceparent"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    max_leaves=20,
)


@given(ANY_JSON)
def test_any_json_gets_an_answer(value: Any) -> None:
    assert delivery(orjson.dumps([value])).unreadable is not None


@pytest.mark.parametrize("trace", [17, {"a": 1}, "x" * 10_000, f"00-{'1' * 32}-{'2' * 16}-01\n", None])
def test_an_odd_trace_context_is_ignored(trace: object) -> None:
    (event,) = decode_batch(orjson.dumps([envelope(traceparent=trace)]), CONTENT_TYPE, TYPE)
    assert event.traceparent is None


def test_a_trace_context_is_kept() -> None:
    trace = f"00-{'1' * 32}-{'2' * 16}-01"
    (event,) = decode_batch(orjson.dumps([envelope(traceparent=trace)]), CONTENT_TYPE, TYPE)
    assert event.traceparent == trace


def test_a_split_batch_has_the_same_events() -> None:
    events = [event_of(checkout()) for _ in range(3)]
    ((body, _),) = encode_batches(events)
    parts = split_batch(body)
    assert [position for _, position in parts] == [0, 1, 2]
    assert [decode_batch(part, CONTENT_TYPE, TYPE)[0] for part, _ in parts] == events


def test_only_a_batch_that_can_be_taken_apart_counts_its_events() -> None:
    broken = orjson.dumps([envelope(), envelope(data={})])
    assert delivery(broken).event_count == 2
    assert delivery(broken, content_type="application/json").event_count == 0
    assert delivery(broken, content_type=None).event_count == 0
    assert delivery(broken, message_type="checkout.requested.v9").event_count == 0
    assert delivery(b"{}").event_count == 0
    assert delivery(orjson.dumps([{}] * 501)).event_count == 0


@pytest.mark.parametrize(("headers", "tries"), [({}, 1), ({"x-tries": 3}, 4), ({"x-tries": "many"}, 1)])
def test_tries_are_counted_in_a_header(headers: dict[str, object], tries: int) -> None:
    assert delivery_of(checkout(), headers=headers).tries == tries


@pytest.mark.parametrize(
    ("headers", "suspect"),
    [
        ({}, False),
        ({"x-delivery-count": 2}, False),
        ({"x-delivery-count": 3}, True),
        ({"x-suspect": True}, True),
        ({"x-delivery-count": "3"}, False),
    ],
)
def test_a_message_redelivered_three_times_is_a_suspect(headers: dict[str, object], suspect: bool) -> None:
    assert delivery_of(checkout(), headers=headers).is_suspect is suspect


def test_a_foreign_message_has_an_id_of_its_content() -> None:
    known = new_id()
    assert message_id_of(str(known), b"x") == known
    assert message_id_of(None, b"x") == message_id_of(None, b"x")
    assert len({message_id_of(None, b"x"), message_id_of(None, b"y"), message_id_of("a", b"x")}) == 3


def test_derived_ids_are_the_same_each_time() -> None:
    origin = new_id()
    assert derived_id(origin, 1) == derived_id(origin, 1)
    assert len({derived_id(origin, 1), derived_id(origin, 2), derived_id(new_id(), 1)}) == 3
