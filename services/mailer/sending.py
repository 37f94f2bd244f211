"""One connection to the SMTP server, used for many mails."""

import asyncio
import contextlib
import ssl
from email.message import EmailMessage

import aiosmtplib
from aiosmtplib.errors import (
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from services.mailer.domain import Refusal
from services.mailer.smtp_url import SmtpServer

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
        except SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            return Refusal(refused.code, refused.message)
        except SMTPSenderRefused as error:
            return Refusal(error.code, error.message, of_sender=True)
        except SMTPResponseException as error:
            return Refusal(error.code, error.message)
        except (SMTPException, OSError, TimeoutError) as error:
            # After a broken transaction nobody knows what the server will say next.
            self._drop()
            return Refusal(0, f"{type(error).__name__}: {error}")
        return None

    async def close(self) -> None:
        """Say good-bye, briefly, and close."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(_QUIT_SECONDS):
                    await client.quit()
            client.close()

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

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
