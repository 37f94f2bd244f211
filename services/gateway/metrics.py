"""The gateway's own figures."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class GatewayMetrics:
    """Counts what buyers were told."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._checkouts = Counter(
            "boxoffice_checkouts", "Checkouts by what the buyer was told", ["outcome"], registry=registry
        )
        self._seconds = Histogram(
            "boxoffice_checkout_seconds", "From request to answer", buckets=_SECONDS, registry=registry
        )
        self._batch = Histogram(
            "boxoffice_command_batch_events", "Commands in one message", ["type"], buckets=_EVENTS, registry=registry
        )
        #: Checkouts that are open.
        self.waiting = Gauge("boxoffice_checkouts_waiting", "Checkouts that wait for an outcome", registry=registry)
        #: Streams that are open.
        self.streams = Gauge("boxoffice_streams_open", "Streams of order changes that are open", registry=registry)
        #: Commands that are repeated until they are answered.
        self.unanswered = Gauge(
            "boxoffice_commands_unanswered", "Commands that are repeated until answered", registry=registry
        )

    def checkout(self, outcome: str, seconds: float) -> None:
        """One checkout was answered."""
        self._checkouts.labels(outcome).inc()
        self._seconds.observe(seconds)

    def batch(self, message_type: str, events: int) -> None:
        """One message of commands was published."""
        self._batch.labels(message_type).observe(events)
