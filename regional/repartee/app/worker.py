"""The state of one regional worker, which its routes share: slots, the ticket gate, providers, calls, telemetry."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from repartee.agent.agent import Agent
from repartee.agent.version import version_of
from repartee.app.admission import Slots, TicketGate
from repartee.app.call_audio.recorder import Recorder
from repartee.app.call_audio.tap import CallTap
from repartee.app.client_socket import shortcuts_of
from repartee.app.services import Services
from repartee.app.settings import Settings
from repartee.app.subjects import Subjects
from repartee.errors import ClientProtocolError
from repartee.pool.faults import PoolFault
from repartee.session.call import Call, CallParts, CallSettings
from repartee.session.cascade import Cascade
from repartee.session.checkpointing import Checkpointing
from repartee.session.parting import ClosingOnly
from repartee.session.relay import Relay
from repartee.session.too_much import ClientLimits
from repartee.telemetry.events import TurnOver
from repartee.telemetry.prometheus import Metrics
from repartee.telemetry.report import CallOrigin
from repartee.telemetry.service_notes import CallServiceNotes
from repartee.telemetry.stream import Stream
from repartee.telemetry.tally import TurnTally
from repartee.transport.interfaces import CallControl, CallEnd, RealtimeTransport, Transport
from repartee.transport.realtime import WebSocketTransport
from repartee.transport.recorded import RecordedTransport
from repartee.transport.telephone.line import TelephoneTransport
from repartee.transport.websocket import AsgiSocket, WebSocketLink
from repartee.wire import outside_json, own_events
from repartee.wire.audio_format import WireFormat
from repartee.wire.own_events import AnsweringAgent, OwnEvents
from repartee.wire.session_settings import SessionSettings
from repartee.wire.settings_patch import Audio, AudioFormat, AudioInput, AudioOutput, SessionPatch
from repartee_edge.tickets import SeenTickets, Ticket, TicketKeys

log = logging.getLogger(__name__)

Connected = tuple[RealtimeTransport, CallControl]
"""How a telephone call is connected, and what can be done with that beside closing it."""

PLAIN = "plain"
"""What the agent is called that a worker serves if none is named."""


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker is made of."""

    settings: Settings
    agent: Agent
    allow_anonymous: bool = False
    loopback_only: bool = False
    """Only this machine's own pages are served, tickets or not. Anonymous sessions are for no others either way."""

    watched_agent: str = ""
    """What ``--agent`` named, if the agent is to be loaded anew whenever its file changes."""

    agent_name: str = ""
    """What the agent was named by; empty: the plain one."""

    agents: Mapping[str, Agent] = field(default_factory=dict)
    """Others that calls may be for, by name; ``agent`` takes those that name none of them."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker at one moment: calls in progress, how many it takes, and whether new ones are welcome."""

    active: int
    slots: int
    ready: bool
    draining: bool
    admitting: bool = True
    """False: no vendor of a kind that calls need is usable, so that new ones are refused."""
    faults: tuple[PoolFault, ...] = ()


class Worker:
    """One regional worker."""

    def __init__(self, parts: WorkerParts, services: Services, metrics: Metrics, stream: Stream) -> None:
        settings = parts.settings
        self.settings = settings
        self.services = services
        self.metrics = metrics
        self.stream = stream
        self.slots = Slots(settings.max_calls)
        self.subjects = Subjects()
        self.gate = TicketGate(settings.region, ticket_keys(settings), parts.allow_anonymous, SeenTickets())
        self._agent = parts.agent
        self._agents = parts.agents
        self._agent_name = parts.agent_name or PLAIN
        self.recorder: Recorder | None = None
        self.telephone_lines: dict[str, TelephoneTransport] = {}
        """The telephone calls under way, by their carrier's id."""
        self._calls: set[Call] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._watchers: list[Callable[[], None]] = []
        metrics.call_slots.set(settings.max_calls)
        metrics.watch(services)

    def serve(self, agent: Agent) -> None:
        """New calls get this agent; those in progress keep theirs."""
        if asked_of(agent) != asked_of(self._agent):
            log.warning(
                "the agent's model or its options have changed; keeping the old ones until the worker is restarted"
            )
        self._agent = agent
        self.services.serve(agent)

    @property
    def ready(self) -> bool:
        """New calls are welcome: the pools are warm and the worker is not draining."""
        return self.services.warm and not self.slots.draining

    def state(self) -> WorkerState:
        """The worker now."""
        return WorkerState(
            len(self._calls),
            self.slots.limit,
            self.ready,
            self.slots.draining,
            self.services.admitting,
            self.services.faults(),
        )

    def new_tally(self) -> TurnTally:
        """A count of the turns from now on."""
        tally = TurnTally()
        self.stream.count(tally, TurnOver)
        return tally

    def watch(self, call: Callable[[], None]) -> None:
        """Arrange for ``call`` whenever a call has begun or ended, and when the drain begins. It must not wait."""
        self._watchers.append(call)

    def _tell_watchers(self) -> None:
        for call in self._watchers:
            call()

    async def hold_call(self, websocket: WebSocket, ticket: Ticket | None, slot: ExitStack) -> None:
        """Hold a call on an accepted socket until it ends; the last thing it does is give back the slot."""
        settings = self.call_settings(websocket.query_params.get("model", ""), ticket)
        shortcuts = shortcuts_of(websocket.scope)
        socket = AsgiSocket(websocket.receive, websocket.send, shortcuts.hand_over, shortcuts.push)

        wants_own = own_events.asked_for(websocket.query_params, websocket.scope["subprotocols"])

        def connect(providers: Mapping[str, str]) -> RealtimeTransport:
            return WebSocketTransport(
                WebSocketLink(socket),
                call_id=settings.call_id,
                own_events=self.own_events(settings, providers) if wants_own else None,
                binary=websocket.query_params.get("audio") == "binary",
                event_bytes=settings.limits.other_bytes,
            )

        with slot:
            await self.run_call(settings, connect)

    def call_settings(
        self,
        model: str,
        ticket: Ticket | None,
        *,
        call_id: str = "",
        session: Mapping[str, Any] | None = None,
        transport: str = "websocket",
    ) -> CallSettings:
        """The settings of one call. ``session``: settings that the client sent along, before its ticket's."""
        settled, fault = initial_session(session or (ticket.session if ticket else None))
        return CallSettings(
            call_id=call_id or secrets.token_hex(8),
            region=self.settings.region,
            model=model,
            metadata=dict(ticket.metadata) if ticket else {},
            session=settled,
            session_fault=fault,
            limits=client_limits(self.settings),
            agent=self._name_of(ticket),
            origin=self._origin(ticket, transport),
        )

    def own_events(self, settings: CallSettings, providers: Mapping[str, str]) -> OwnEvents:
        """What makes the `repartee.*` events of a call; ``providers`` are those who serve it now, by stage."""
        answering = self.answering(self._agent_for(settings), settings.agent)
        return OwnEvents(settings.call_id, settings.region, providers, answering)

    def answering(self, agent: Agent | None = None, name: str = "") -> AnsweringAgent:
        """Who answers a call for this agent (None: for the one that takes calls which name none)."""
        agent = agent or self._agent
        return AnsweringAgent(
            agent.name or name or self._agent_name,
            version_of(agent),
            tuple(agent.suggestions),
            self.services.labels,
        )

    def _agent_for(self, settings: CallSettings) -> Agent:
        return self._agents.get(str(settings.metadata.get("agent")), self._agent)

    def _name_of(self, ticket: Ticket | None) -> str:
        """What the call's agent is called by those who watch calls."""
        named = str(ticket.metadata.get("agent")) if ticket else ""
        return named if named in self._agents else self._agent_name

    def _origin(self, ticket: Ticket | None, transport: str) -> CallOrigin:
        agent = self._agents.get(self._name_of(ticket), self._agent)
        words = self.settings.call_records == "words"
        return CallOrigin(caller_of(ticket), transport, version_of(agent), words)

    async def hold_telephone_call(
        self,
        ticket: Ticket,
        slot: ExitStack,
        audio: WireFormat,
        connect: Callable[[str, Mapping[str, str]], Connected],
        checkpointing: Checkpointing | None = None,
    ) -> None:
        """The same for a telephone call, whose carrier speaks ``audio``. ``connect`` makes its transport, from
        the call's id and the providers' names; ``checkpointing`` writes down what is said."""
        form = AudioFormat(audio.encoding, audio.hz if audio.encoding == "audio/pcm" else None)
        settings = CallSettings(
            call_id=secrets.token_hex(8),
            region=self.settings.region,
            metadata=dict(ticket.metadata),
            session=SessionPatch(audio=Audio(input=AudioInput(format=form), output=AudioOutput(format=form))),
            limits=client_limits(self.settings),
            agent=self._name_of(ticket),
            origin=self._origin(ticket, "telephone"),
            checkpointing=checkpointing or Checkpointing(),
        )
        with slot:
            made: list[CallControl] = []

            def line(names: Mapping[str, str]) -> RealtimeTransport:
                transport, control = connect(settings.call_id, names)
                made.append(control)
                return transport

            await self.run_call(settings, line, lambda: made[0])

    async def run_call(
        self,
        settings: CallSettings,
        connect: Callable[[Mapping[str, str]], RealtimeTransport],
        control: Callable[[], CallControl] = ClosingOnly,
    ) -> None:
        """Hold a call to its end. ``connect`` makes its transport, given its providers' names; ``control`` then
        says what can be done with it beside closing it."""
        call, transport = self._new_call(settings, connect, control)
        with self._counted(call):
            end = await call.run()
            await transport.close(end)

    def _new_call(
        self,
        settings: CallSettings,
        connect: Callable[[Mapping[str, str]], RealtimeTransport],
        control: Callable[[], CallControl],
    ) -> tuple[Call, Transport]:
        """On a cascade, or with a speech-to-speech model."""
        relay = self.services.relay_for(settings.model)
        agent = self._agent_for(settings)
        tap = self._tap(settings, agent) if self.recorder else None
        settings = replace(settings, recorded=tap) if tap else settings
        if relay is not None:
            transport = tapped(connect(relay.names), tap)
            parts = CallParts(settings, agent, relay, self.stream.emit, transport, control())
            return Call(parts, lambda call: Relay(call, relay, transport)), transport
        assert self.services.resources is not None
        notes = CallServiceNotes(
            settings.call_id,
            settings.region,
            settings.agent,
            self.services.resources.names,
            self.stream.emit,
        )
        cascade = self.services.resources.for_call(notes)
        transport = tapped(connect(cascade.names), tap)
        parts = CallParts(settings, agent, cascade, self.stream.emit, transport, control())
        return Call(parts, lambda call: Cascade(call, cascade)), transport

    def _tap(self, settings: CallSettings, agent: Agent) -> CallTap | None:
        """Records the call, if its agent wants that and its caller can come to know."""
        if self.recorder is None or agent.record is None:
            return None
        if agent.record == "signalled" and settings.origin.transport != "websocket":
            log.warning(
                "call %s: its client cannot be sent that it is recorded; not recording it", settings.call_id
            )
            return None
        return self.recorder.tap(settings.call_id, settings.origin.caller, spoken=agent.record == "spoken")

    @contextmanager
    def _counted(self, call: Call) -> Iterator[None]:
        """The call is one of those in progress."""
        self._calls.add(call)
        self._idle.clear()
        self.metrics.calls_active.inc()
        self.services.expect(len(self._calls))
        self._tell_watchers()
        try:
            yield
        finally:
            self.metrics.calls_active.dec()
            self._calls.discard(call)
            self.services.expect(len(self._calls))
            if not self._calls:
                self._idle.set()
            self._tell_watchers()

    async def drain(self) -> None:
        """Take no new calls; let those in progress end by themselves, or end them when the limit comes."""
        self.slots.draining = True
        self.metrics.draining.set(1)
        self._tell_watchers()
        log.info("draining with %d calls in progress; letting them end by themselves", len(self._calls))
        started = time.monotonic()
        try:
            async with asyncio.timeout(self.settings.drain_s):
                await self._idle.wait()
        except TimeoutError:
            for call in list(self._calls):
                call.end(CallEnd.DRAINED)
            await self._idle.wait()
        log.info("drained in %.1f s; stopping", time.monotonic() - started)


def tapped(transport: RealtimeTransport, tap: CallTap | None) -> RealtimeTransport:
    """The connection, with its audio copied to the tap, if there is one."""
    return RecordedTransport(transport, tap) if tap else transport


def caller_of(ticket: Ticket | None) -> str:
    """Who calls, as far as that is verified: the telephone number, or whom the ticket names; empty for nobody."""
    if ticket is None:
        return ""
    return str(ticket.metadata.get("phone") or "") if "carrier" in ticket.metadata else ticket.subject


def asked_of(agent: Agent) -> tuple[object, ...]:
    """The parts of an agent that its vendors are opened with, once."""
    body, voice = dict(agent.extra_body), dict(agent.voice_options)
    return agent.model, agent.reasoning_effort, agent.service_tier, body, voice


def ticket_keys(settings: Settings) -> TicketKeys | None:
    """The keys that tickets are verified with, if there are any."""
    current = settings.ticket_key.get_secret_value()
    return TicketKeys(current, settings.ticket_key_previous.get_secret_value() or None) if current else None


def client_limits(settings: Settings) -> ClientLimits:
    """What a client may send."""
    return ClientLimits(
        settings.audio_event_s, settings.event_bytes, settings.requests_per_s, settings.messages_burst_s
    )


def initial_session(
    session: Mapping[str, Any] | None,
) -> tuple[SessionPatch | None, ClientProtocolError | None]:
    """The settings that came with a ticket or an offer, as the edge has no say in them; or why they are not used."""
    if not session:
        return None, None
    try:
        patch: SessionPatch = outside_json.decode(msgspec.json.encode(session), SessionPatch)
        SessionSettings().updated(patch)
        return patch, None
    except (msgspec.DecodeError, ClientProtocolError) as error:
        log.warning(
            "the settings that came with a call are wrong: %s; doing without them and telling the client",
            error,
        )
        param = getattr(error, "param", None) or "session"
        return None, ClientProtocolError(
            f"The settings that came with the call were not used: {error}", param=param
        )
