"""What becomes of a message whose handling failed."""

import asyncpg
import pytest

from shared.messaging.exceptions import NotConfirmed, RejectedForGood, TookTooLong, UnknownType, Unreadable
from shared.messaging.topology import RETRY_TIERS_SECONDS
from shared.messaging.verdicts import (
    MAX_CONTENTION_WAITS,
    MAX_IN_HAND_SECONDS,
    MAX_LONE_TRIES,
    MAX_MERGED_WAITS,
    MAX_SLOW_WAITS,
    MAX_TRIES,
    DeadLetter,
    Postpone,
    Retry,
    Split,
    Wait,
    decide_merged,
    decide_suspect,
    decide_verdict,
    reason_of,
)
from shared.postgres.errors import CONTENTION, ENGINE_DOWN

AWAY = [one for one in ENGINE_DOWN if not issubclass(one, asyncpg.InterfaceError)]
FINAL = [Unreadable("x"), UnknownType("x"), RejectedForGood("x")]


@pytest.mark.parametrize("kind", [*AWAY, NotConfirmed])
@pytest.mark.parametrize("event_count", [1, 500])
def test_an_absent_engine_is_waited_for_and_spends_no_try(kind: type[Exception], event_count: int) -> None:
    assert decide_verdict(kind("x"), tries=MAX_TRIES, event_count=event_count, waits=10**6) == Wait(counted=False)
    assert decide_merged(kind("x"), waits=10**6) == Wait(counted=False)


def test_a_message_is_not_kept_in_hand_until_the_broker_loses_patience() -> None:
    too_long = MAX_IN_HAND_SECONDS + 1
    error = ConnectionRefusedError()
    last_tier = RETRY_TIERS_SECONDS[-1]
    assert decide_verdict(error, tries=1, event_count=500, in_hand_seconds=too_long) == Postpone(last_tier)
    assert decide_merged(error, waits=0, in_hand_seconds=too_long) == Split()
    assert too_long < 30 * 60 / 2, "the broker's own limit is half an hour"


@pytest.mark.parametrize("kind", [*CONTENTION, asyncpg.InterfaceError])
def test_rivals_are_waited_for_a_bounded_number_of_times(kind: type[Exception]) -> None:
    assert decide_verdict(kind("x"), tries=1, event_count=1, waits=MAX_CONTENTION_WAITS - 1) == Wait(counted=True)
    assert decide_verdict(kind("x"), tries=1, event_count=1, waits=MAX_CONTENTION_WAITS) == Retry(1)
    assert decide_verdict(kind("x"), tries=1, event_count=2, waits=MAX_CONTENTION_WAITS) == Split()
    assert decide_merged(kind("x"), waits=MAX_MERGED_WAITS - 1) == Wait(counted=True)
    assert decide_merged(kind("x"), waits=MAX_MERGED_WAITS) == Split()


def test_a_handler_that_never_ends_does_not_hold_up_its_queue() -> None:
    error = TookTooLong("x")
    assert decide_verdict(error, tries=1, event_count=1, waits=MAX_SLOW_WAITS - 1) == Wait(counted=True)
    assert decide_verdict(error, tries=1, event_count=1, waits=MAX_SLOW_WAITS) == Retry(1)


@pytest.mark.parametrize("error", [ValueError("x"), Unreadable("x"), RejectedForGood("x")])
def test_a_batch_is_split_before_anything_in_it_is_given_up(error: Exception) -> None:
    assert decide_verdict(error, tries=MAX_TRIES, event_count=2) == Split()
    assert decide_merged(error, waits=0) == Split()


def test_a_batch_of_a_type_nobody_reads_is_one_dead_letter() -> None:
    assert decide_verdict(UnknownType("x"), tries=1, event_count=500) == DeadLetter("UnknownType: x")


@pytest.mark.parametrize("error", FINAL)
@pytest.mark.parametrize("event_count", [0, 1])
def test_what_can_never_be_handled_is_given_up_at_once(error: Exception, event_count: int) -> None:
    assert decide_verdict(error, tries=1, event_count=event_count) == DeadLetter(f"{type(error).__name__}: x")


def test_an_unknown_error_is_tried_five_times_in_growing_pauses() -> None:
    verdicts = [decide_verdict(KeyError("x"), tries=tries, event_count=1) for tries in range(1, MAX_TRIES + 1)]
    assert verdicts == [
        Retry(1),
        Retry(10),
        Retry(60),
        Retry(60),
        DeadLetter("failed 5 times; the last: KeyError: 'x'"),
    ]


def test_a_suspect_is_given_up_after_lone_tries_that_did_not_come_back() -> None:
    assert [decide_suspect(lone_tries=tries) for tries in range(MAX_LONE_TRIES)] == [None] * MAX_LONE_TRIES
    assert decide_suspect(lone_tries=MAX_LONE_TRIES) == DeadLetter("its handling ended the process 2 times")


def test_a_reason_fits_into_a_header() -> None:
    assert len(reason_of(ValueError("x" * 10_000))) == 500


def test_a_value_that_postgresql_can_never_hold_is_given_up_at_once() -> None:
    error = asyncpg.CharacterNotInRepertoireError('invalid byte sequence for encoding "UTF8": 0x00')
    verdict = decide_verdict(error, tries=1, event_count=1)
    assert isinstance(verdict, DeadLetter)
    assert "0x00" in verdict.reason
    assert decide_verdict(error, tries=1, event_count=500) == Split()
