"""One whole call on virtual time, in which everybody but Repartee misbehaves."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from unittest import mock

from tests.regional.session.virtual_time import VirtualLoop
from tests.simulation.caller import SimulatedCaller
from tests.simulation.dice import Dice
from tests.simulation.line import SimulatedLine
from tests.simulation.model import SimulatedModel
from tests.simulation.recogniser import SimulatedEars
from tests.simulation.tools import Backend, agent_with
from tests.simulation.voice import SimulatedVoice, Words

from repartee.agent.agent import worker_side
from repartee.agent.experience import Experience
from repartee.session.call import Call, CallParts, CallSettings
from repartee.session.cascade import Cascade
from repartee.session.cascade_resources import CascadeResources
from repartee.session.phrases import Phrases
from repartee.telemetry import events as t
from repartee.transport.interfaces import CallEnd
from repartee.turn.history import Message

LONGEST_S = 1_500.0
"""No conversation here takes longer, of virtual time."""


@dataclass
class Played:
    """What came of one conversation."""

    seed: int
    ended_at: float
    end: CallEnd
    line: SimulatedLine
    caller: SimulatedCaller
    model: SimulatedModel
    backend: Backend
    voice: SimulatedVoice
    words: Words
    history: list[Message]
    drawn: Counter[tuple[str, str]]
    events: list[tuple[float, t.CallEvent]] = field(default_factory=list)
    left_behind: int = 0


def play(seed: int) -> Played:
    """Play the conversation of this seed to its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        with mock.patch.object(time, "monotonic", loop.time):
            return runner.run(_play(seed))


async def _play(seed: int) -> Played:
    dice, words, loop = Dice(seed), Words(), asyncio.get_running_loop()
    backend = Backend(dice)
    agent = agent_with(backend, dice)
    ears, model, voice = SimulatedEars(dice), SimulatedModel(dice), SimulatedVoice(dice, words)
    line = SimulatedLine(words, reports_played=dice.chance(0.3))
    events: list[tuple[float, t.CallEvent]] = []
    resources = CascadeResources(
        ears, model, voice, names={}, phrases=Phrases(voice), experience=Experience()
    )
    phrases = (*worker_side(agent).phrases, *agent.notices.phrases(agent.language))
    await resources.phrases.record(phrases, name=agent.voice, language=agent.language)
    voice.sound = False
    settings = CallSettings(f"call{seed}", "here")
    parts = CallParts(settings, agent, resources, lambda event: events.append((loop.time(), event)), line)
    kinds: list[Cascade] = []

    def make(call: Call) -> Cascade:
        kinds.append(Cascade(call, resources))
        return kinds[0]

    call = Call(parts, make)
    running = asyncio.create_task(call.run())
    caller = SimulatedCaller(dice, line, ears, call)
    person = asyncio.create_task(caller.take_part())
    async with asyncio.timeout(LONGEST_S):
        end = await running
    ended_at = loop.time()
    person.cancel()
    await asyncio.gather(person, return_exceptions=True)
    if not person.cancelled() and (fault := person.exception()) is not None:
        raise fault
    return Played(
        seed,
        ended_at,
        end,
        line,
        caller,
        model,
        backend,
        voice,
        words,
        [item for item in kinds[0].core.history if isinstance(item, Message)],
        dice.drawn,
        events,
        left_behind=len(asyncio.all_tasks()) - 1,
    )
