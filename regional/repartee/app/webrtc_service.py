"""The WebRTC calls of one worker process: the port, the calls that it holds, and how they begin and end.

Import this only where the extra is installed: transport/webrtc/libraries says whether it is.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from repartee.app.processes.membership import Membership
from repartee.app.settings import Settings
from repartee.app.webrtc_address import AddressSources, public_addresses
from repartee.app.webrtc_holders import Holders, label_key, worker_label
from repartee.app.worker import Worker
from repartee.transport.interfaces import RealtimeTransport
from repartee.transport.webrtc.call import WebRtcCallSettings, WebRtcTransport
from repartee.transport.webrtc.line import MediaLine
from repartee.transport.webrtc.names import CallName
from repartee.transport.webrtc.peers import MediaSettings, PeerMaker
from repartee.transport.webrtc.port import MediaPort
from repartee_edge.tickets import Ticket

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallWishes:
    """What a caller asks for, beside its offer. ``session``: settings that came with it."""

    offer: str
    model: str = ""
    session: Mapping[str, Any] | None = None
    own_events: bool = False


@dataclass(slots=True)
class HeldCall:
    """A call that is held, or being connected."""

    name: CallName
    line: MediaLine
    task: asyncio.Task[None] | None = None
    transport: WebRtcTransport | None = None
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)


class WebRtcService:
    """All WebRTC calls of this process. Made by :func:`start_webrtc`."""

    def __init__(self, worker: Worker, port: MediaPort, peers: PeerMaker, holders: Holders) -> None:
        self._worker = worker
        self._port = port
        self._peers = peers
        self._holders = holders
        self._held: dict[str, HeldCall] = {}

    def __repr__(self) -> str:
        return f"<WebRtcService: {len(self._held)} calls, {self._port!r}>"

    @property
    def port(self) -> int:
        """The media port's number."""
        return self._port.port

    def holder(self, name: CallName, *, forwarded: bool) -> str | None:
        """Where a call is held that is not here, as host:port; None: nowhere that is known. ``forwarded``: another
        worker has sent what is asked for."""
        return self._holders.holder(name, forwarded=forwarded)

    def find(self, name: str) -> HeldCall | None:
        """A call that is held here."""
        return self._held.get(name)

    def answer(self, wishes: CallWishes, ticket: Ticket | None, slot: ExitStack) -> tuple[str, str]:
        """Begin a call: its name, and the answer to its offer. The slot is given back at its end. Raises
        OfferRefused."""
        name = self._holders.new_name(self._worker.settings.region)
        line = MediaLine(self._port, self._peers)
        answer = line.answer(wishes.offer)
        held = HeldCall(name, line)
        self._held[str(name)] = held
        held.task = asyncio.create_task(self._hold(held, wishes, ticket, slot))
        return str(name), answer

    async def aclose(self) -> None:
        """End what is still held, and close the port."""
        tasks = [held.task for held in self._held.values() if held.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._port.aclose()

    async def _hold(self, held: HeldCall, wishes: CallWishes, ticket: Ticket | None, slot: ExitStack) -> None:
        with slot:
            try:
                if await self._connected(held):
                    await self._run(held, wishes, ticket)
            except Exception:
                log.exception("the WebRTC call %s failed; hanging up", held.name)
            finally:
                del self._held[str(held.name)]
                held.line.leave()
                held.line.hang_up()

    async def _connected(self, held: HeldCall) -> bool:
        """Whether the caller connects in time, and is not hung up on before."""
        waits = [
            asyncio.ensure_future(held.line.connected.wait()),
            asyncio.ensure_future(held.hung_up.wait()),
        ]
        try:
            await asyncio.wait(
                waits, timeout=self._worker.settings.webrtc_setup_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for wait in waits:
                wait.cancel()
        if held.hung_up.is_set():
            return False
        if not held.line.connected.is_set():
            log.info("the caller of %s did not connect; giving the call up", held.name)
            return False
        return True

    async def _run(self, held: HeldCall, wishes: CallWishes, ticket: Ticket | None) -> None:
        worker = self._worker
        settings = worker.call_settings(
            wishes.model, ticket, call_id=held.name.call_id, session=wishes.session, transport="webrtc"
        )

        def connect(providers: Mapping[str, str]) -> RealtimeTransport:
            held.transport = WebRtcTransport(
                held.line,
                WebRtcCallSettings(
                    settings.call_id,
                    worker.own_events(settings, providers) if wishes.own_events else None,
                    event_bytes=settings.limits.other_bytes,
                    frame_ms=worker.settings.webrtc_frame_ms,
                ),
            )
            return held.transport

        await worker.run_call(settings, connect)

    def hang_up(self, held: HeldCall) -> None:
        """End a call for its caller."""
        held.hung_up.set()
        if held.transport is not None:
            held.transport.hang_up()


async def start_webrtc(
    worker: Worker, *, own_machine: bool, membership: Membership | None = None
) -> WebRtcService:
    """Open the port of this process. Raises AddressUnknown if it cannot tell callers where it is."""
    settings = worker.settings
    sources = AddressSources(
        settings.webrtc_address, settings.webrtc_stun, settings.ecs_metadata_uri, own_machine
    )
    hosts = await public_addresses(sources)
    key = label_key(settings, membership)
    label = (await worker_label(settings)).signed(key)
    media = MediaSettings(
        hosts,
        label,
        settings.webrtc_frame_ms,
        settings.webrtc_consent_s,
        settings.opus_bitrate,
        settings.opus_complexity,
        settings.opus_low_delay,
    )
    peers = PeerMaker(media)
    process = membership.index if membership else 0
    port = _port(settings, "127.0.0.1" if own_machine else "0.0.0.0", process)
    await port.open()
    log.info("WebRTC is ready at %s port %d; taking calls there", ", ".join(hosts), port.port)
    return WebRtcService(worker, port, peers, Holders(label, key, membership))


def _port(settings: Settings, host: str, process: int) -> MediaPort:
    wanted = settings.webrtc_port + process if settings.webrtc_port else 0
    try:
        return MediaPort(host, wanted, streams=settings.webrtc_tcp)
    except OSError as error:
        if not wanted:
            raise
        log.warning("port %d is taken (%s); taking another for WebRTC", wanted, error.strerror)
        return MediaPort(host, 0, streams=settings.webrtc_tcp)
