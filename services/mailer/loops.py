"""The send loop: lease mails, hand them over, record each outcome at once."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import parseaddr
from uuid import UUID, uuid4

import structlog

from services.mailer import store
from services.mailer.domain import Failed, Later, Outcome, Patience, Refusal, Sent, decide_refused
from services.mailer.metrics import MailMetrics
from services.mailer.rendering import Renderer
from services.mailer.sending import ServerAway, SmtpConnection
from services.mailer.settings import MailerSettings
from services.mailer.smtp_url import parse_smtp_url
from services.mailer.store import Mail
from shared.contracts.mailer import MailFailedV1, MailSentV1
from shared.messaging.transaction import Transactions
from shared.postgres.database import Database

_log = structlog.get_logger()

#: Mails leased at once for one connection.
CLAIM_LIMIT = 20
#: Leases one connection takes in a run, so that a run ends and the loop can be stopped.
CLAIMS_PER_RUN = 25
#: Pause while the server is away, doubled from the first to the second.
AWAY_SECONDS = (0.5, 30.0)


@dataclass(slots=True)
class Claim:
    """Mails leased together. ``open`` are those whose outcome is not recorded yet."""

    claimant: UUID
    until: float
    mails: Sequence[Mail]
    open: dict[UUID, Mail] = field(default_factory=dict)


class Sender:
    """Sends what waits. Any number of replicas run one each."""

    def __init__(
        self,
        database: Database,
        transactions: Transactions,
        renderer: Renderer,
        metrics: MailMetrics,
        settings: MailerSettings,
    ) -> None:
        self._database = database
        self._transactions = transactions
        self._renderer = renderer
        self._metrics = metrics
        self._settings = settings
        self._server = parse_smtp_url(settings.smtp_url.get_secret_value())
        self._envelope_sender = parseaddr(settings.sender)[1]
        self._patience = Patience(settings.retry_seconds, settings.retry_most_seconds, settings.give_up_seconds)
        self._away_until = 0.0
        self._away_pause = 0.0

    async def run_once(self) -> float | None:
        """Send what is due; returns the seconds until the next mail may be, ``None`` when none waits."""
        rest = self._away_until - time.monotonic()
        if rest > 0:
            return rest
        first = await self._claim()
        if not first.mails:
            return await self._seconds_to_next()
        # A lone mail needs one connection; a full claim says that there is more.
        others = self._settings.smtp_connections - 1 if len(first.mails) == CLAIM_LIMIT else 0
        results = await asyncio.gather(
            self._work(first), *(self._work(None) for _ in range(others)), return_exceptions=True
        )
        for result in results:
            if isinstance(result, ServerAway):
                return self._rest_while_away(result)
            if isinstance(result, BaseException):
                raise result
        self._away_pause = 0.0
        self._metrics.away(is_away=False)
        return await self._seconds_to_next()

    async def _work(self, claim: Claim | None) -> None:
        """Send claim after claim over one connection. Raises ServerAway."""
        connection = SmtpConnection(self._server, self._settings.smtp_timeout_seconds)
        try:
            for _ in range(CLAIMS_PER_RUN):
                claim = claim or await self._claim()
                if not claim.mails:
                    return
                await self._send_claim(connection, claim)
                claim = None
        finally:
            await connection.close()

    async def _send_claim(self, connection: SmtpConnection, claim: Claim) -> None:
        try:
            for mail in claim.mails:
                outcome = await self._send(connection, mail, claim.until)
                if outcome is None:
                    return
                await self._record(mail, outcome, claim.claimant)
                del claim.open[mail.id]
        finally:
            # The server went away, the lease is short, or this replica ends: others may have the rest at once.
            if claim.open:
                await self._release(claim)

    async def _send(self, connection: SmtpConnection, mail: Mail, until: float) -> Outcome | None:
        """What became of a mail; ``None`` when there is no time for it in this lease. Raises ServerAway."""
        try:
            message = await asyncio.to_thread(self._renderer.render, mail)
        except Exception as error:  # noqa: BLE001 - one mail that cannot be written must not stop the others
            _log.exception("a mail cannot be written", mail_id=str(mail.id), kind=mail.kind)
            return Failed(f"the mail could not be written: {type(error).__name__}")
        # Many pages take a while to draw, and a try takes a connection and a mail at most: what cannot end within the
        # lease is not begun.
        if time.monotonic() + 2 * self._settings.smtp_timeout_seconds > until:
            return None
        await connection.open()
        refusal = await connection.send(message, sender=self._envelope_sender, recipient=mail.email)
        return Sent() if refusal is None else self._decide(refusal, mail)

    def _decide(self, refusal: Refusal, mail: Mail) -> Later | Failed:
        return decide_refused(refusal, tries=mail.tries + 1, age_seconds=mail.age_seconds, patience=self._patience)

    async def _record(self, mail: Mail, outcome: Outcome, claimant: UUID) -> None:
        async with self._transactions.begin() as tx:
            match outcome:
                case Sent():
                    is_ours = await store.mark_mail_sent(tx.connection, mail_id=mail.id, claimant=claimant)
                    if is_ours and mail.sending > 1:
                        sent = MailSentV1(
                            order_id=mail.order_id,
                            kind=mail.kind,
                            email=mail.email,
                            mail_id=mail.mail_id,
                            sending=mail.sending,
                        )
                        tx.emit(sent, traceparent=mail.traceparent)
                case Later(why, seconds):
                    is_ours = await store.delay_mail(
                        tx.connection, mail_id=mail.id, claimant=claimant, seconds=seconds, why=why
                    )
                case Failed(why):
                    is_ours = await store.mark_mail_failed(tx.connection, mail_id=mail.id, claimant=claimant, why=why)
                    if is_ours:
                        failed = MailFailedV1(
                            order_id=mail.order_id,
                            kind=mail.kind,
                            email=mail.email,
                            why=why,
                            mail_id=mail.mail_id,
                            sending=mail.sending,
                        )
                        tx.emit(failed, traceparent=mail.traceparent)
        if is_ours:
            self._count(mail, outcome)
        else:
            _log.warning("a lease ran out under a mail", mail_id=str(mail.id), outcome=type(outcome).__name__)

    def _count(self, mail: Mail, outcome: Outcome) -> None:
        match outcome:
            case Sent():
                self._metrics.sent(mail.kind)
            case Later(why, seconds):
                self._metrics.delayed(mail.kind)
                _log.info("a mail is refused for now", mail_id=str(mail.id), why=why, again_in_seconds=seconds)
            case Failed(why):
                self._metrics.failed(mail.kind)
                _log.warning("a mail is given up", mail_id=str(mail.id), order_id=str(mail.order_id), why=why)

    async def _claim(self) -> Claim:
        claimant = uuid4()
        until = time.monotonic() + self._settings.lease_seconds
        async with self._database.acquire() as connection:
            mails = await store.claim_mails(
                connection, limit=CLAIM_LIMIT, claimant=claimant, lease_seconds=self._settings.lease_seconds
            )
        return Claim(claimant, until, mails, {mail.id: mail for mail in mails})

    async def _release(self, claim: Claim) -> None:
        async with self._database.acquire() as connection:
            await store.release_mails(connection, mail_ids=list(claim.open), claimant=claim.claimant)

    async def _seconds_to_next(self) -> float | None:
        async with self._database.acquire() as connection:
            return await store.get_seconds_to_next(connection)

    def _rest_while_away(self, error: ServerAway) -> float:
        first, most = AWAY_SECONDS
        self._away_pause = min(max(self._away_pause * 2, first), most)
        self._away_until = time.monotonic() + self._away_pause
        self._metrics.away(is_away=True)
        _log.warning("waiting for the SMTP server", error=str(error), again_in_seconds=self._away_pause)
        return self._away_pause
