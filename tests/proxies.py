"""A TCP proxy in front of an engine, for everything a network does to a connection."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from deploy.local.ports import choose_free_ports
from tests.services import through


class Proxy:
    """Passes octets on to the engine at ``url``; ``proxy.url`` leads through it.

    It listens only between ``open`` and ``shut``; the port stays the same, so that an engine can be absent at first.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 0)
        (self.port,) = choose_free_ports(1)
        self.url = through(url, self.port)
        self._server: asyncio.Server | None = None
        self._asking = asyncio.Event()
        self._answering = asyncio.Event()
        self.thaw()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        #: Connections made so far.
        self.connections = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.shut()

    async def open(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def shut(self) -> None:
        """Accept none, and cut those there are."""
        self.thaw()
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            self.cut()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection there is; new ones are accepted."""
        for writer in list(self._writers):
            writer.transport.abort()

    def freeze(self) -> None:
        """Pass nothing on, without a word to anybody."""
        self._asking.clear()
        self._answering.clear()

    def freeze_answers(self) -> None:
        """Pass on what goes to the engine, and nothing that comes back."""
        self._answering.clear()

    def thaw(self) -> None:
        """Pass everything on again."""
        self._asking.set()
        self._answering.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._writers |= {writer, far_writer}
            try:
                await asyncio.gather(
                    self._pass_on(reader, far_writer, self._asking), self._pass_on(far_reader, writer, self._answering)
                )
            finally:
                for one in (writer, far_writer):
                    one.transport.abort()
                    self._writers.discard(one)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while octets := await reader.read(65536):
                await flowing.wait()
                writer.write(octets)
                await writer.drain()
        writer.transport.abort()
