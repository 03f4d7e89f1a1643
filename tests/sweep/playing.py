"""A whole call on virtual time that goes its way by itself, so that it can be played again with one await gone wrong.

The worker is the product's, with its slots and the pools of its providers; the providers are in memory.
"""

import asyncio
import gc
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, cast
from unittest import mock

from tests.contract.kinds.call import CASCADE
from tests.regional.session.virtual_time import VirtualLoop, now
from tests.sweep.await_points import AwaitPoints, Strike, is_watched
from tests.sweep.providers import SweptBrain, SweptEars, SweptSpeech, SweptVoice
from tests.sweep.scenes import SCENES, Act, Play, Scene, TimedClient

from repartee.agent.agent import Agent, worker_side
from repartee.agent.experience import Experience, Transition
from repartee.app.services import Services
from repartee.app.settings import read_settings
from repartee.app.worker import Worker, WorkerParts
from repartee.pool.pool import Pool
from repartee.providers.openai_realtime import OpenAIRealtime
from repartee.session.cascade_resources import CascadeResources
from repartee.session.hearing_policy import HearingPolicy
from repartee.session.parting import ClosingOnly
from repartee.session.phrases import Phrases
from repartee.session.provider_line import LinePolicy
from repartee.session.relay import RelayResources
from repartee.standins import timing
from repartee.telemetry import events as t
from repartee.telemetry.prometheus import Metrics
from repartee.telemetry.stream import Counts, Stream
from repartee.transport.realtime import WebSocketTransport
from repartee.transport.websocket import AsgiSocket, WebSocketLink
from repartee.turn.session_watch import WatchPolicy
from repartee.wire.own_events import OwnEvents

LATE_S = 30.0
"""A call is over for certain so long after its caller has hung up."""

AWAY = WatchPolicy(away_s=3.0, tell_after_s=1.0)


class SweptLoop(VirtualLoop):
    """Time passes, if only a nanosecond: what is due by the loop's rounding is due by everybody's."""

    def _pass(self, seconds: float) -> None:
        super()._pass(max(seconds, 1e-9))


@dataclass
class SweptProviders:
    """What the calls of a worker share, as far as a call can tell. Stands for ``Services``."""

    kind: str
    agent: Agent
    learnt: list[Transition] = field(default_factory=list)
    ears: SweptEars = field(default_factory=SweptEars)
    voice: SweptVoice = field(default_factory=SweptVoice)
    speech: SweptSpeech = field(default_factory=SweptSpeech)
    resources: CascadeResources | None = None
    relay: RelayResources | None = None
    pools: list[Pool[Any]] = field(default_factory=list)

    async def open(self, *, recorded: bool) -> None:
        """Have the pools warm, and the phrases recorded if they are to be."""
        self.pools = [self.ears.pool, self.voice.pool] if self.kind == CASCADE else [self.speech.pool]
        for pool in self.pools:
            pool.start()
            await pool.wait_warm(5)
        phrases = Phrases(SweptVoice())
        texts = (*worker_side(self.agent).phrases, *self.agent.notices.phrases("en")) if recorded else ()
        if self.kind == CASCADE:
            phrases = Phrases(self.voice)
            await phrases.record(texts, name=None, language="en")
            self.voice.utterances = 0
            self.resources = CascadeResources(
                self.ears,
                SweptBrain(),
                self.voice,
                {},
                phrases,
                Experience(),
                self._learn,
                hearing=HearingPolicy(watch=AWAY),
                context_tokens=150,
            )
        else:
            speech = cast(OpenAIRealtime, self.speech)
            line = LinePolicy(watch=AWAY)
            self.relay = RelayResources(speech, phrases, Experience(), self._learn, line=line)

    async def _learn(self, taught: Iterable[Transition]) -> None:
        await asyncio.sleep(0)
        self.learnt += taught

    def relay_for(self, model: str) -> RelayResources | None:
        return self.relay

    def expect(self, calls: int) -> None:
        pass

    async def aclose(self) -> None:
        for pool in self.pools:
            await pool.aclose()


class SweptControl(ClosingOnly):
    """A connection that takes its time to be closed."""

    can = frozenset({"hang_up", "hold", "warm_transfer"})

    async def hang_up(self) -> None:
        await asyncio.sleep(0.01)

    async def warm_transfer(self, to: str, briefing: str, answered: Callable[[], None]) -> bool:
        await asyncio.sleep(2.0)
        return False

    def hold(self, music: bool) -> None:
        pass

    def take_back(self) -> None:
        pass

    async def played(self) -> None:
        await asyncio.sleep(0.01)


@dataclass
class Played:
    """What came of a call."""

    points: AwaitPoints
    scene: Scene
    ended_at: float | None = None
    raised: BaseException | None = None
    events: list[t.CallEvent] = field(default_factory=list)
    logged: list[logging.LogRecord] = field(default_factory=list)
    unhandled: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    taken: int = 0
    leased: int = 0

    @property
    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.events if isinstance(event, t.CallEnded)]


# --- playing -----------------------------------------------------------------------------------------------------


def play(kind: str, scene: str, strike: Strike | None = None) -> Played:
    """Play this scene, with that gone wrong. The dice of whoever waits a little fall the same each time."""
    random.seed(7)
    with asyncio.Runner(loop_factory=SweptLoop) as runner:
        loop = runner.get_loop()
        with (
            mock.patch.object(time, "monotonic", loop.time),
            mock.patch.object(timing, "_allowance", mock.Mock(take=lambda now, wanted_s: False)),
        ):
            return runner.run(_play(kind, SCENES[scene], strike))


async def _play(kind: str, what: Play, strike: Strike | None) -> Played:
    loop, points = asyncio.get_running_loop(), AwaitPoints(strike)
    providers = SweptProviders(kind, what.agent())
    await providers.open(recorded=what.recorded)
    scene = Scene(kind, TimedClient(), providers.ears, providers.voice, providers.speech)
    played = Played(points, scene)
    loop.set_exception_handler(lambda loop, context: played.unhandled.append(str(context)))
    notes = _Notes(played.logged)
    logging.getLogger().addHandler(notes)
    worker = _worker(providers, played)
    try:
        loop.set_task_factory(cast(Any, points.make_task))
        calling = points.make_task(loop, points.watched(_hold(worker, played)))
        await _act(scene, what.acts, calling)
        await asyncio.wait([calling], timeout=LATE_S)
        await _note_end(played, calling, worker, providers.pools)
        loop.set_task_factory(None)
        del calling
        gc.collect()
    finally:
        logging.getLogger().removeHandler(notes)
        await providers.aclose()
    return played


async def _hold(worker: Worker, played: Played) -> None:
    """As the worker's own route does."""
    settings, client = worker.call_settings("", None), played.scene.client

    def connect(providers: Mapping[str, str]) -> WebSocketTransport:
        link = WebSocketLink(AsgiSocket(client.receive, client.deliver))
        own = OwnEvents(settings.call_id, settings.region, providers)
        transport = WebSocketTransport(link, call_id=settings.call_id, own_events=own)
        played.scene.press = lambda digit: transport._call.take_digit(digit)  # noqa: PLW0108 - not known yet
        return transport

    try:
        with ExitStack() as slot:
            slot.enter_context(worker.slots.one())
            await worker.run_call(settings, connect, SweptControl)
    finally:
        played.ended_at = now()


async def _act(scene: Scene, acts: Sequence[Act], calling: "asyncio.Task[None]") -> None:
    began = now()
    for at_s, act in acts:
        await asyncio.wait([calling], timeout=began + at_s - now())
        if calling.done():
            return
        act(scene)


def _worker(providers: SweptProviders, played: Played) -> Worker:
    stream = Stream()
    stream.count(cast(Counts, mock.Mock(export=played.events.append)))
    settings = read_settings({"REPARTEE_STORE_FILE": ":memory:"})
    config = WorkerParts(settings, providers.agent, allow_anonymous=True)
    return Worker(config, cast(Services, providers), Metrics({}), stream)


async def _note_end(
    played: Played, calling: "asyncio.Task[None]", worker: Worker, pools: Sequence[Pool[Any]]
) -> None:
    if not calling.done():
        played.ended_at = None
        calling.cancel()
        await asyncio.wait([calling])
    if not calling.cancelled():
        played.raised = calling.exception()
    await asyncio.sleep(0.1)  # what was cancelled with nobody left to wait for it
    played.left = [task.get_name() for task in asyncio.all_tasks() if is_watched(task)]
    active = worker.metrics.registry.get_sample_value("repartee_calls_active")
    played.taken = worker.slots.taken + int(active or 0)
    played.leased = sum(pool.figures().leased for pool in pools)


class _Notes(logging.Handler):
    def __init__(self, kept: list[logging.LogRecord]) -> None:
        super().__init__(logging.INFO)
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(record)
