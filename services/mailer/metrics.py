"""The mailer's own figures."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class MailMetrics:
    """What became of mails, and whether the SMTP server answers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._sent = Counter("boxoffice_mails_sent", "Mails the server took", ["kind"], registry=registry)
        self._delayed = Counter("boxoffice_mails_delayed", "Mails refused for now", ["kind"], registry=registry)
        self._failed = Counter("boxoffice_mails_failed", "Mails given up", ["kind"], registry=registry)
        self._away = Gauge("boxoffice_smtp_away", "1 while the SMTP server cannot be reached", registry=registry)

    def sent(self, kind: str) -> None:
        """The server took a mail."""
        self._sent.labels(kind).inc()

    def delayed(self, kind: str) -> None:
        """A mail was refused for now."""
        self._delayed.labels(kind).inc()

    def failed(self, kind: str) -> None:
        """A mail was given up."""
        self._failed.labels(kind).inc()

    def away(self, *, is_away: bool) -> None:
        """Whether the server can be reached."""
        self._away.set(is_away)
