"""The SMTP side, in the same event loop as everything else."""

import asyncio
import socket
from typing import Any
from weakref import WeakSet

from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.catcher.mailbox import Mailbox, MailboxError
from deploy.catcher.refusals import Refusals


class Handler:
    """Takes every mail that is not refused; each recipient gets a copy of its own."""

    def __init__(self, mailbox: Mailbox, refusals: Refusals) -> None:
        """Keep mails in `mailbox`."""
        self._mailbox = mailbox
        self._refusals = refusals

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        """Accept or refuse one recipient."""
        code = self._refusals.take(address)
        if code is not None:
            return f"{code} {address} is refused for a test"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail, then say so; a full disk is a temporary error."""
        raw = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        try:
            for recipient in envelope.rcpt_tos:
                self._mailbox.add(to=recipient, sender=envelope.mail_from or "", raw=raw)
        except MailboxError as error:
            return f"452 {error}"
        return "250 OK: caught"


class SmtpServer:
    """Serves until closed."""

    def __init__(self, handler: Handler, *, max_message_bytes: int) -> None:
        """Prepare to hand mails to `handler`."""
        self._handler = handler
        self._max_message_bytes = max_message_bytes
        self._connections: WeakSet[SMTP] = WeakSet()
        self._server: asyncio.Server | None = None

    async def start(self, bound: socket.socket) -> None:
        """Listen on a bound socket."""
        loop = asyncio.get_running_loop()

        def connect() -> SMTP:
            # aiosmtpd's own Controller would run this in a thread with a loop of its own.
            options: dict[str, Any] = {"data_size_limit": self._max_message_bytes, "enable_SMTPUTF8": True}
            connection = SMTP(self._handler, hostname="localhost", ident="Boxoffice mail catcher", loop=loop, **options)
            self._connections.add(connection)
            return connection

        self._server = await loop.create_server(connect, sock=bound, backlog=256)

    async def close(self) -> None:
        """Stop listening and cut open connections; a mail without its 250 is the sender's to send again."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            if connection.transport is not None:
                connection.transport.close()
