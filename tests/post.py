"""A post office for the tests of the mailer: the real catcher's SMTP side, in this process, that can close."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.catcher.app import bind
from deploy.catcher.mail import Mail
from deploy.catcher.mailbox import Mailbox
from deploy.catcher.refusals import Refusal, Refusals
from deploy.catcher.smtp import Handler, SmtpServer


class _Counter(Handler):
    """Takes so many mails, and leaves the next ones without an answer until it is let go on."""

    def __init__(self, mailbox: Mailbox, refusals: Refusals, most: int | None, gate: asyncio.Event) -> None:
        super().__init__(mailbox, refusals)
        self._left = most
        self._gate = gate

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """As the catcher does, once there is room."""
        if self._left is not None:
            if self._left == 0:
                await self._gate.wait()
            else:
                self._left -= 1
        return await super().handle_DATA(server, session, envelope)


class Post:
    """``async with Post() as post``: open on a port of its own, which it keeps over closing and opening again.

    With ``most`` it takes so many mails and then answers nothing until ``gate`` is set.
    """

    def __init__(self, most: int | None = None) -> None:
        self.port = 0
        self.gate = asyncio.Event()
        self._most = most
        self._mailbox = Mailbox("", max_messages=10_000, max_bytes=256 * 1024 * 1024)
        self._refusals = Refusals()
        self._server: SmtpServer | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
        self._mailbox.close()

    @property
    def url(self) -> str:
        """For MAILER_SMTP_URL."""
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def mails(self) -> list[Mail]:
        """What came, oldest first."""
        return list(self._mailbox.mails.values())

    @staticmethod
    def free_port() -> int:
        """A port that nobody listened on a moment ago."""
        with bind("127.0.0.1", 0, "the test's port") as bound:
            port: int = bound.getsockname()[1]
        return port

    async def open(self) -> None:
        """Listen."""
        bound = bind("127.0.0.1", self.port, "the test's port")
        self.port = bound.getsockname()[1]
        self._server = SmtpServer(
            _Counter(self._mailbox, self._refusals, self._most, self.gate), max_message_bytes=25 * 1024 * 1024
        )
        await self._server.start(bound)

    async def close(self) -> None:
        """Listen no more, and cut open connections."""
        server, self._server = self._server, None
        with contextlib.suppress(OSError):
            if server is not None:
                await server.close()

    def refuse(self, address: str, code: int, times: int | None = None) -> None:
        """Answer mail to this address with this code, so many times, or for ever."""
        self._refusals.plant(Refusal(address=address, code=code, times=times))
