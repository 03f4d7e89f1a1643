"""A client that reads the server's events strictly, and the scripted turns they tell of."""

from typing import Any

import msgspec
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from tests.clients.strict import faults_in

from repartee.latency.timeline import TurnTrace
from repartee.turn import commands as c
from repartee.turn.history import Message
from repartee.wire.announcer import Announcer
from repartee.wire.own_events import OwnEvents

SDK: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)


NULLABLE = {"previous_item_id", "param", "code", "status_details", "usage", "metadata"}


class Client:
    """Takes what the announcer tells, as the SDK would, and checks each event on the way."""

    def __init__(self, *, asks: bool = True) -> None:
        providers = {"stt": "deepgram/flux", "llm": "openai", "tts": "cartesia"}
        self.announcer = Announcer("abc", OwnEvents("abc", "eu-west", providers) if asks else None)
        self.events: list[Any] = []
        self.raw: list[dict[str, Any]] = []

    def take(self, *events: dict[str, Any]) -> None:
        for event in events:
            told = msgspec.json.decode(msgspec.json.encode(event))
            self.raw.append(told)
            if not told["type"].startswith("repartee."):
                self.events.append(SDK.validate_python(told))
                assert self.events[-1].type == told["type"]
                assert faults_in(told) == []

    def tell(self, *commands: c.Command, audio_ms: int = 0) -> "Client":
        for command in commands:
            self.take(*self.announcer.tell(command, audio_ms))
        return self

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.raw]

    def one(self, type_: str) -> dict[str, Any]:
        [found] = [event for event in self.raw if event["type"] == type_]
        return found


def answer(text: str = "", *, spoken: bool = True) -> Message:
    return Message("item_2", "assistant", text, spoken=spoken)


CALLER_SPEAKS = (
    c.TurnStarted(1, "item_1"),
    c.TurnHeard(1, "item_1", "What time"),
    c.TurnHeard(1, "item_1", "What time is it?"),
)


CALLER_IS_DONE = c.TurnEnded(1, "item_1", Message("item_1", "user", "What time is it?"), "item_0")


TRACE = TurnTrace(1, 1, 443.2, {"end_of_turn": 120.0, "llm": 323.2}, speculative=True)


def plain_turn(client: Client) -> None:
    client.tell(*CALLER_SPEAKS, audio_ms=1_000)
    client.tell(CALLER_IS_DONE, audio_ms=2_750)
    client.tell(c.ReplyStarted(1, 1), c.AnswerStarted(1, answer(), "item_1"), c.ReplyWords(1, "It is "))
    delta = client.announcer.audio_delta(1)
    assert delta is not None
    client.take(delta | {"delta": "AAAA"})
    client.tell(c.TurnTraced(TRACE), c.ReplyWords(1, "noon."))
    client.tell(c.ReplyEnded(1, 1, "completed", answer("It is noon.")))
    client.tell(c.TurnFinished(1, "answered", TRACE))
