"""What the calls of `repartee bench transport` go over: a line between network namespaces, else relays.

A relay loses datagrams; of a TCP connection it cannot, so what a loss costs there is modelled (``stream_relay``).
Between namespaces TCP is the kernel's own.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from repartee.bench.datagram_relay import relaying
from repartee.bench.line_quality import LineQuality
from repartee.bench.namespaces import Namespaces, lacking, namespaces
from repartee.bench.rig import cores
from repartee.bench.stream_relay import HOST, delaying


class LinkKind(StrEnum):
    """What calls go over."""

    auto = "auto"
    """Namespaces where they can be, else relays."""

    namespaces = "namespaces"
    relay = "relay"


@dataclass(frozen=True, slots=True)
class WayThere:
    """``port``: where callers find the worker by TCP; ``media``: where by UDP, if not where its answers say."""

    port: int
    media: tuple[str, int] | None = None


class TransportLink(Protocol):
    """Lines of any quality between callers and a worker."""

    kind: LinkKind

    def at_worker(self) -> AbstractContextManager[None]:
        """The worker is to be started within this block."""

    def over(self, line: LineQuality, port: int, media_port: int) -> AbstractAsyncContextManager[WayThere]:
        """Calls are to be placed within this block. ``port`` and ``media_port`` are the worker's."""


@contextmanager
def linked(wanted: LinkKind) -> Iterator[TransportLink]:
    """Raises NoNamespaces, if they are wanted and cannot be."""
    if wanted is LinkKind.relay or (wanted is LinkKind.auto and lacking()):
        yield _Relays()
        return
    with namespaces(cores()[1]) as hosts:
        yield _TwoHosts(hosts)


class _Relays:
    kind = LinkKind.relay

    def at_worker(self) -> AbstractContextManager[None]:
        return nullcontext()

    @asynccontextmanager
    async def over(self, line: LineQuality, port: int, media_port: int) -> AsyncIterator[WayThere]:
        if line == LineQuality():
            yield WayThere(port)
            return
        async with relaying((HOST, media_port), line) as relay, delaying(port, line) as near:
            yield WayThere(near, relay.address)


class _TwoHosts:
    kind = LinkKind.namespaces

    def __init__(self, hosts: Namespaces) -> None:
        self._hosts = hosts

    def at_worker(self) -> AbstractContextManager[None]:
        return self._hosts.at_worker()

    @asynccontextmanager
    async def over(self, line: LineQuality, port: int, media_port: int) -> AsyncIterator[WayThere]:
        self._hosts.become(line)
        with self._hosts.at_callers():
            yield WayThere(port)
