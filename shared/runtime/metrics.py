"""Prometheus metrics of one service. Each service has a registry of its own, so that several can share a process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """The figures every service has, and the registry for its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._sent = Counter(
            "boxoffice_messages_sent", "Messages confirmed by the broker", ["type"], registry=self.registry
        )
        self._sent_events = Counter(
            "boxoffice_events_sent", "Events in those messages", ["type"], registry=self.registry
        )
        self._outbox_wait = Histogram(
            "boxoffice_outbox_wait_seconds", "From commit to being leased", buckets=_SECONDS, registry=self.registry
        )
        self._refused = Counter(
            "boxoffice_messages_refused", "Times the broker took a type into no queue", ["type"], registry=self.registry
        )
        self._handled = Counter(
            "boxoffice_events_handled", "Events whose effects are committed", ["type"], registry=self.registry
        )
        self._batch = Histogram(
            "boxoffice_batch_events", "Events in one transaction", buckets=_EVENTS, registry=self.registry
        )
        self._handling = Histogram(
            "boxoffice_batch_seconds", "One handling transaction", buckets=_SECONDS, registry=self.registry
        )
        self._duplicates = Counter("boxoffice_messages_duplicate", "Messages the inbox knew", registry=self.registry)
        self._split = Counter("boxoffice_messages_split", "Batches split into single events", registry=self.registry)
        self._retried = Counter(
            "boxoffice_messages_retried", "Messages sent to a retry tier", ["type"], registry=self.registry
        )
        self._dead = Counter("boxoffice_messages_dead", "Messages given up", ["type"], registry=self.registry)
        self._asked = Counter("boxoffice_asked_again", "Questions repeated", ["type"], registry=self.registry)
        self._outbox_pending = Gauge(
            "boxoffice_outbox_pending", "Messages that wait to be sent", registry=self.registry
        )
        self._outbox_oldest = Gauge(
            "boxoffice_outbox_oldest_seconds", "Age of the oldest message that waits", registry=self.registry
        )

    def sent(self, message_type: str, events: int, waited_seconds: float) -> None:
        """One message was confirmed."""
        self._sent.labels(message_type).inc()
        self._sent_events.labels(message_type).inc(events)
        self._outbox_wait.observe(max(waited_seconds, 0.0))

    def refused(self, message_type: str) -> None:
        """The broker took a message of this type into no queue."""
        self._refused.labels(message_type).inc()

    def handled(self, counts: dict[str, int], seconds: float) -> None:
        """One handling transaction committed."""
        for message_type, count in counts.items():
            self._handled.labels(message_type).inc(count)
        self._batch.observe(sum(counts.values()))
        self._handling.observe(seconds)

    def duplicates(self, count: int) -> None:
        """Messages came again."""
        self._duplicates.inc(count)

    def split(self) -> None:
        """A batch was split."""
        self._split.inc()

    def retried(self, message_type: str) -> None:
        """A message went to a retry tier."""
        self._retried.labels(message_type).inc()

    def dead(self, message_type: str) -> None:
        """A message was given up."""
        self._dead.labels(message_type).inc()

    def asked(self, message_type: str, count: int) -> None:
        """Questions were repeated since no answer came."""
        self._asked.labels(message_type).inc(count)

    def backlog(self, pending: int, oldest_seconds: float) -> None:
        """What waits in the outbox."""
        self._outbox_pending.set(pending)
        self._outbox_oldest.set(oldest_seconds)

    def render(self) -> bytes:
        """Everything in Prometheus' text form."""
        return generate_latest(self.registry)
