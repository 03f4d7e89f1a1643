"""What happens in a call that is swept, and at which second.

A talk: a greeting, a tool with a filler, a session that is lost, an answer that is interrupted, another language, and
a booking that goes on when the caller has hung up. Providers that stay away, with what is said then recorded or not.
A voice that can say nothing. An agent that hangs up, at once or in the end, and one that replies by itself.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.contract.kinds.call import CASCADE, KINDS
from tests.regional.session.actors import ScriptedClient, caller_audio
from tests.regional.session.bell import Bell
from tests.regional.session.virtual_time import now
from tests.sweep.desks import bare, desk, hands_on, own_replies, turns_away
from tests.sweep.providers import SweptEars, SweptSpeech, SweptVoice

from repartee.agent.agent import Agent
from repartee.standins.faults import Fault
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, PartialTranscript, StartOfTurn, TurnResumed


class TimedClient(ScriptedClient):
    """Notes when each event came, and how the connection was closed."""

    def __init__(self) -> None:
        super().__init__(Bell())
        self.heard_at: list[float] = []
        self.closed = False

    async def deliver(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.close":
            self.closed = True
            return
        await asyncio.sleep(0)
        await super().deliver(message)
        if '"response.output_audio.delta"' in message.get("text", ""):
            self.heard_at.append(now())

    def asks(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        self.sends("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        self.sends("response.create")


Act = tuple[float, Callable[["Scene"], None]]


@dataclass
class Scene:
    """One call under way, as those who act in it have it."""

    kind: str
    client: TimedClient
    ears: SweptEars
    voice: SweptVoice
    speech: SweptSpeech
    press: Callable[[str], None] | None = None
    asked_at: list[float] = field(default_factory=list)
    hung_up_at: float = 0.0

    def asks(self, text: str) -> None:
        """By voice with a cascade, else in writing."""
        if self.kind == CASCADE:
            self.ears.hears(StartOfTurn(), PartialTranscript(text), EndOfTurn(text))
        else:
            self.client.asks(text)
        self.asked_at.append(now())

    def interrupts(self, text: str) -> None:
        if self.kind != CASCADE:
            self.client.sends("response.cancel")
        self.asks(text)

    def asks_after_a_pause(self, text: str) -> None:
        """The recogniser takes the pause for the end, twice."""
        if self.kind == CASCADE:
            self.ears.hears(StartOfTurn(), EagerEndOfTurn("Please"), TurnResumed())
            self.ears.hears(EagerEndOfTurn(text), EndOfTurn(text))
            self.asked_at.append(now())
        else:
            self.asks(text)

    def speaks(self) -> None:
        """Half a second, and then silence."""
        for _ in range(25):
            self.client.sends_audio(caller_audio(20))
        for _ in range(50):
            self.client.sends_audio(bytes(960))

    def loses_ears(self) -> None:
        if self.kind == CASCADE:
            self.ears.are_lost()
        else:
            self.speech.lose_sessions()

    def cannot_be_heard(self) -> None:
        self.ears.away = self.speech.dialler.away = True
        self.loses_ears()

    def speaks_german(self) -> None:
        german = {"type": "realtime", "audio": {"input": {"transcription": {"language": "de"}}}}
        self.client.sends("session.update", session=german)

    def presses(self, digit: str) -> None:
        """A key of their telephone, which reaches the call past any protocol."""
        if self.press is not None:
            self.press(digit)

    def gets_no_answer(self) -> None:
        """Whatever is asked of the voice, or of the model, from now on."""
        self.voice.away = True
        self.speech.state.faults.put(Fault("never_done", "openai-realtime", count=100))

    def hangs_up(self) -> None:
        self.hung_up_at = now()
        self.client.hangs_up()


@dataclass(frozen=True, slots=True)
class Play:
    """What a scene is: who is called, and what happens. ``recorded``: what is said word for word is in memory."""

    agent: Callable[[], Agent]
    acts: Sequence[Act]
    recorded: bool = True
    kinds: Sequence[str] = KINDS


SCENES: Mapping[str, Play] = {
    "a talk": Play(
        desk,
        [
            (0.5, Scene.speaks),
            (6.0, lambda scene: scene.asks_after_a_pause("What is the balance of my account?")),
            (15.0, Scene.loses_ears),
            (16.0, lambda scene: scene.asks("Where are you?")),
            (16.8, lambda scene: scene.interrupts("No, wait, say it again, please.")),
            (26.0, Scene.speaks_german),
            (27.0, lambda scene: scene.asks("Tell me more of that.")),
            (37.0, lambda scene: scene.asks("Are you still there?")),
            (46.0, lambda scene: scene.asks("Please book an appointment for the dentist.")),
            (46.5, Scene.hangs_up),
        ],
    ),
    "away": Play(
        desk,
        [
            (2.5, lambda scene: scene.asks("Where are you?")),
            (3.0, Scene.cannot_be_heard),
            (15.0, Scene.hangs_up),
        ],
    ),
    "away, and nothing recorded": Play(
        desk, [(1.0, Scene.cannot_be_heard), (15.0, Scene.hangs_up)], recorded=False
    ),
    "mute": Play(
        bare,
        [
            (1.0, Scene.gets_no_answer),
            (1.0, lambda scene: scene.asks("Where are you?")),
            (25.0, Scene.hangs_up),
        ],
        recorded=False,
    ),
    "hung up on": Play(
        desk,
        [
            (6.0, lambda scene: scene.asks("Please close the account and the conversation.")),
            (22.0, Scene.hangs_up),
        ],
    ),
    "turned away": Play(turns_away, [(15.0, Scene.hangs_up)]),
    "handed on": Play(hands_on, [(12.0, lambda scene: scene.asks("Where are you?")), (22.0, Scene.hangs_up)]),
    "its own replies": Play(
        own_replies,
        [
            (1.0, lambda scene: scene.asks("Where are you?")),
            (3.0, lambda scene: scene.presses("1")),
            (12.0, Scene.hangs_up),
        ],
        kinds=[CASCADE],
    ),
}
