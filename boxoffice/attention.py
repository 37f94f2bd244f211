"""What a running stack asks a person to look at: dead letters, open cases of money, messages that are not sent."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from boxoffice.target import Target, new_session
from shared.messaging.dead_letters import BrokerAway, dead_letters
from shared.messaging.topology import durable_consumers

#: Seconds for all of it: `status` is asked when things are wrong, and has to answer.
LOOK_SECONDS = 10.0
#: A message that waits longer than this to be sent is worth a word.
UNSENT_SECONDS = 30.0

_PENDING, _OLDEST, _CASES = "boxoffice_outbox_pending", "boxoffice_outbox_oldest_seconds", "payments_open_cases"


@dataclass(frozen=True)
class Attention:
    """Counts by service, only of what there is; and what could not be looked at, with why."""

    dead_letters: Mapping[str, int] = field(default_factory=dict)
    unsent: Mapping[str, int] = field(default_factory=dict)
    open_cases: int = 0
    unknown: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As `boxoffice status --json` shows it."""
        return {
            "dead_letters": dict(self.dead_letters),
            "unsent": dict(self.unsent),
            "open_cases": self.open_cases,
            "unknown": dict(self.unknown),
        }

    def lines(self) -> Iterable[str]:
        """In plain words, each with the command that shows more."""
        for service, count in self.dead_letters.items():
            yield f"{_counted(count, 'dead letter')} of {service}: boxoffice dead list --service {service}"
        if self.open_cases:
            yield f"{_counted(self.open_cases, 'open case')} of money: boxoffice ledger"
        for service, count in self.unsent.items():
            yield f"{_counted(count, 'message')} of {service} wait to be sent, the oldest over {UNSENT_SECONDS:.0f} s"
        for what, why in self.unknown.items():
            yield f"{what} could not be looked at: {why}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


async def look_around(target: Target) -> Attention:
    """Ask RabbitMQ and every service. What does not answer is named, and hides nothing else."""
    (dead, why_dead), metrics = await asyncio.gather(_count_dead(target), _read_all(target))
    read = {service: figures for service, figures in metrics.items() if isinstance(figures, dict)}
    unknown = {f"The metrics of {name}": why for name, why in metrics.items() if isinstance(why, str)}
    if why_dead:
        unknown["Dead letters"] = why_dead
    return Attention(
        dead_letters=dead,
        unsent={
            service: int(figures.get(_PENDING, 0))
            for service, figures in read.items()
            if figures.get(_OLDEST, 0) > UNSENT_SECONDS
        },
        open_cases=int(read.get("payments", {}).get(_CASES, 0)),
        unknown=unknown,
    )


async def _count_dead(target: Target) -> tuple[dict[str, int], str]:
    if not target.amqp_url:
        return {}, "nobody said where RabbitMQ is"
    try:
        async with asyncio.timeout(LOOK_SECONDS), dead_letters(target.amqp_url, target.namespace) as letters:
            counts = {service: await letters.count(service) for service in durable_consumers()}
    except (BrokerAway, TimeoutError) as error:
        return {}, str(error) or "RabbitMQ does not answer in time"
    return {service: count for service, count in counts.items() if count}, ""


async def _read_all(target: Target) -> dict[str, dict[str, float] | str]:
    services = [service for service in durable_consumers() if service in target.urls]
    async with new_session(LOOK_SECONDS) as session:
        read = await asyncio.gather(*(_read(session, target.urls[service]) for service in services))
    return dict(zip(services, read, strict=True))


async def _read(session: aiohttp.ClientSession, url: str) -> dict[str, float] | str:
    """The figures of one service, those with labels added up; or why there are none."""
    try:
        async with session.get(f"{url}/metrics") as response:
            text = await response.text()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return str(error) or "no answer in time"
    return add_up(text)


def add_up(text: str) -> dict[str, float]:
    """The sum of each figure over its labels, of a page of metrics."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums
