"""One connection to the SMTP server, used for many mails."""

import asyncio
import contextlib
import ssl
from email.message import EmailMessage

import aiosmtplib
import structlog
from aiosmtplib.errors import (
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from services.mailer.domain import Refusal
from services.mailer.smtp_url import SmtpServer

_log = structlog.get_logger()

#: Mails after which a connection is opened anew; servers limit them, often at 100.
MAILS_PER_CONNECTION = 50
#: Seconds for a polite good-bye.
_QUIT_SECONDS = 2.0


class ServerAway(Exception):
    """The server cannot be reached, or refuses us before any mail. No mail is at fault."""


class SmtpConnection:
    """Opens itself when needed, and again after an error that broke it."""

    def __init__(self, server: SmtpServer, timeout_seconds: float) -> None:
        self._server = server
        self._timeout_seconds = timeout_seconds
        self._client: aiosmtplib.SMTP | None = None
        self._mails = 0

    async def open(self) -> None:
        """Connect, encrypt and log in, unless that is done. Raises ServerAway."""
        if self._client is not None and (not self._client.is_connected or self._mails >= MAILS_PER_CONNECTION):
            await self.close()
        if self._client is None:
            self._client = await self._connect()
            self._mails = 0

    async def send(self, message: EmailMessage, *, sender: str, recipient: str) -> Refusal | None:
        """Hand one mail over; ``None`` when the server took it. ``open`` must have been called."""
        assert self._client is not None
        self._mails += 1
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._client.send_message(message, sender=sender, recipients=[recipient])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about this mail and must not stop the others
            refusal = _refusal_of(error)
            if refusal.code == 0:
                # After a broken transaction nobody knows what the server will say next.
                self._client.close()
                self._client = None
            return refusal
        return None

    async def close(self) -> None:
        """Say good-bye, briefly, and close."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(_QUIT_SECONDS):
                    await client.quit()
            client.close()

    async def _connect(self) -> aiosmtplib.SMTP:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.use_tls,
            start_tls=server.start_tls,
            cert_bundle=server.ca_file,
            timeout=self._timeout_seconds,
        )
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await client.connect()
        except (SMTPException, OSError, TimeoutError, ssl.SSLError, ValueError) as error:
            client.close()
            raise ServerAway(f"{type(error).__name__}: {error}") from error
        return client


def _refusal_of(error: Exception) -> Refusal:
    match error:
        case SMTPRecipientsRefused():
            refused = error.recipients[0]
            return Refusal(refused.code, refused.message)
        case SMTPSenderRefused():
            return Refusal(error.code, error.message, of_sender=True)
        case SMTPResponseException():
            return Refusal(error.code, error.message)
        case SMTPNotSupported() | ValueError():
            # An address or text that cannot be put into words this server knows, today or tomorrow.
            return Refusal(554, str(error))
        case SMTPException() | OSError():
            return Refusal(0, f"{type(error).__name__}: {error}")
        case _:
            _log.error("handing a mail over failed in an unforeseen way", exc_info=error)
            return Refusal(0, f"{type(error).__name__}: {error}")
