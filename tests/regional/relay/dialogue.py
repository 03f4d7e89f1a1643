"""A relayed conversation under a virtual clock, written as a screenplay.

:class:`Dialogue` plays the caller, the provider, the tools and the client against a
:class:`~repartee.relay.machine.RelayMachine` and keeps its deadlines. Times are seconds; nothing sleeps. The provider
is as strict as OpenAI's about what it is sent, and as wayward about what it sends as the test wants it.
"""

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from repartee.relay import commands as r
from repartee.relay import events as re
from repartee.relay.machine import RelayMachine
from repartee.relay.settings import AgentSide
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.filler import FillerChoice
from repartee.turn.policy import TurnPolicy
from repartee.wire import client_events as w
from repartee.wire import relay_events as wire
from repartee.wire.session_settings import SessionSettings

AnyCommand = TypeVar("AnyCommand", bound=c.Command)

TOOLS = TurnPolicy(tools=frozenset({"look_up"}), client_tools=frozenset({"theirs"}))

PHRASE_MS = 1_000.0
"""What is recorded is so long."""


class Dialogue:
    """``recorded``: what is said word for word is in memory; ``cuts`` as the machine has it."""

    def __init__(
        self,
        policy: TurnPolicy | None = None,
        fillers: FillerChoice | None = None,
        *,
        recorded: bool = True,
        cuts: bool = False,
        config: SessionSettings | None = None,
    ) -> None:
        side = AgentSide(tools=[], style="", transcriber="t", own_voice=True)
        self.machine = RelayMachine("call", config or SessionSettings(), side, policy, fillers, cuts=cuts)
        self.machine.open(instructions="", voice=None, language="en", ticket=None)
        self.recorded = recorded
        self.now = 0.0
        self.log: list[c.Command] = []
        self.deadlines: dict[str, float] = {}
        self.sent: list[dict[str, Any]] = []
        self.items: list[str] = []
        self.heard_at: list[float] = []
        self._number = 0
        self._queue: list[e.Event] = []
        self._busy = False
        self.deliver(re.SessionBegan(again=False, lost=False))

    # --- running -------------------------------------------------------------------------------------------------

    def deliver(self, event: e.Event) -> None:
        self._queue.append(event)
        if self._busy:
            return
        self._busy = True
        while self._queue:
            for command in self.machine.receive(self._queue.pop(0), self.now):
                self.log.append(command)
                self._carry_out(command)
        self._busy = False

    def _carry_out(self, command: c.Command) -> None:
        match command:
            case c.SetDeadline(name=name, at=at):
                assert at >= self.now - 1e-9, "no deadline is in the past"
                self.deadlines[name] = at
            case c.ClearDeadline(name=name):
                self.deadlines.pop(name, None)
            case r.ToProvider(event=text):
                self._to_provider(json.loads(text))
            case r.FindRecording(token=token) if self.recorded:
                self._queue.append(re.RecordingFound(token, PHRASE_MS, 0.0))
            case r.FindRecording(token=token):
                self._queue.append(re.RecordingMissing(token))
            case r.PlayRecording() | r.PlaySound():
                self.heard_at.append(self.now)

    def _to_provider(self, event: dict[str, Any]) -> None:
        self.sent.append(event)
        match event["type"]:
            case "session.update":
                self._queue.append(self._said("session.updated"))
            case "conversation.item.create":
                item = event["item"]
                assert item["id"] not in self.items, "an id is given once"
                self.items.append(item["id"])
                self._queue.append(self._said("conversation.item.added", item=item))
                self._queue.append(self._said("conversation.item.done", item=item))
            case "conversation.item.delete":
                assert event["item_id"] in self.items, "what is deleted is there"
                self.items.remove(event["item_id"])
                self._queue.append(self._said("conversation.item.deleted", item_id=event["item_id"]))
            case "conversation.item.truncate":
                assert event["item_id"] in self.items, "what is truncated is there"

    def wait(self, seconds: float) -> None:
        """Time passes; deadlines come as they are due."""
        until = self.now + seconds
        while self.deadlines:
            name, at = min(self.deadlines.items(), key=lambda each: each[1])
            if at > until:
                break
            del self.deadlines[name]
            self.now = max(self.now, at)
            self.deliver(e.DeadlinePassed(name))
        self.now = until

    # --- the provider --------------------------------------------------------------------------------------------

    def _said(self, kind: str, *, ended_at: float | None = None, **fields: Any) -> re.ProviderSaid:
        source = json.dumps({"type": kind, **fields})
        return re.ProviderSaid(wire.read(source.encode()), source, ended_at)

    def provider(self, kind: str, *, ended_at: float | None = None, **fields: Any) -> None:
        """Any event of the provider's."""
        self.deliver(self._said(kind, ended_at=ended_at, **fields))

    def caller_starts(self) -> None:
        self._number += 1
        self.provider("input_audio_buffer.speech_started", item_id=f"user_{self._number}")

    def caller_stops(self, words: str | None = None) -> None:
        item_id, ended_at = f"user_{self._number}", self.now
        self.wait(0.25)
        self.provider("input_audio_buffer.speech_stopped", item_id=item_id, ended_at=ended_at)
        self.provider("input_audio_buffer.committed", item_id=item_id, ended_at=ended_at)
        self.items.append(item_id)
        item = {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_audio"}]}
        self.provider("conversation.item.added", item=item)
        if words is not None:
            self.provider(
                "conversation.item.input_audio_transcription.completed", item_id=item_id, transcript=words
            )

    def caller_says(self, words: str = "What is my balance?") -> None:
        self.caller_starts()
        self.wait(0.5)
        self.caller_stops(words)

    def begins(self, **fields: Any) -> str:
        """The provider begins a response to the conversation."""
        self._number += 1
        response_id = f"resp_{self._number}"
        response = {"id": response_id, "status": "in_progress", "conversation_id": "conv", **fields}
        self.provider("response.created", response=response)
        return response_id

    def begins_beside(self) -> str:
        """It begins what it was asked for out of band."""
        asked = self.asks()[-1]["response"]
        return self.begins(conversation_id=None, metadata=asked["metadata"])

    def speaks(
        self, response_id: str, text: str = "It is ten pounds.", ms: float = 1_000, silent_ms: float = 0
    ) -> str:
        """Audio of a response, in a message of its own if there is none yet."""
        item_id = response_id.replace("resp", "item")
        if item_id not in self.items:
            self.items.append(item_id)
            item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
            self.provider("response.output_item.added", response_id=response_id, item=item)
            self.provider("conversation.item.added", item=item)
        self.provider(
            "response.output_audio_transcript.delta", response_id=response_id, item_id=item_id, delta=text
        )
        if ms:
            delta = wire.AudioDelta(response_id, item_id, "")
            self.deliver(re.ProviderSound(delta, b"", ms, silent_ms))
        return item_id

    def calls(self, response_id: str, name: str = "look_up", call_id: str | None = None) -> str:
        """A function is called."""
        self._number += 1
        call_id = call_id or f"call_{self._number}"
        item = {"id": f"fc_{call_id}", "type": "function_call", "status": "in_progress", "name": name}
        item |= {"call_id": call_id, "arguments": ""}
        self.provider("response.output_item.added", response_id=response_id, item=item)
        self.provider("conversation.item.added", item=item)
        place: dict[str, Any] = {"response_id": response_id, "item_id": item["id"]}
        self.provider(
            "response.function_call_arguments.done", **place, name=name, arguments="{}", call_id=call_id
        )
        done = item | {"status": "completed", "arguments": "{}"}
        self.provider("conversation.item.done", item=done)
        self.provider("response.output_item.done", response_id=response_id, item=done)
        return call_id

    def ends(
        self,
        response_id: str,
        status: str = "completed",
        reason: str | None = None,
        output: Sequence[Any] = (),
    ) -> None:
        details = {"type": status, "reason": reason} if reason else None
        response = {"id": response_id, "status": status, "conversation_id": "conv", "status_details": details}
        self.provider("response.done", response=response | {"output": list(output)})

    def answers(self, text: str = "It is ten pounds.", ms: float = 1_000) -> str:
        """A whole answer."""
        response_id = self.begins()
        self.speaks(response_id, text, ms)
        self.ends(response_id)
        return response_id

    def refuses(self, code: str = "server_error") -> None:
        """The provider does not take the last response.create."""
        event_id = self.asks()[-1]["event_id"]
        self.provider("error", error={"message": "No.", "code": code, "event_id": event_id})

    def tool_gives(self, call_id: str, output: str = "ten") -> None:
        self.deliver(e.ToolFinished(call_id, output))

    def client_asks(self, **response: Any) -> None:
        source = json.dumps({"type": "response.create", "response": response})
        self.deliver(re.ClientWish(w.decode(source), source))

    def client(self, kind: str, **fields: Any) -> None:
        source = json.dumps({"type": kind, **fields})
        self.deliver(re.ClientWish(w.decode(source), source))

    # --- what was wanted -----------------------------------------------------------------------------------------

    def all(self, kind: type[AnyCommand]) -> list[AnyCommand]:
        return [command for command in self.log if isinstance(command, kind)]

    def asks(self) -> list[dict[str, Any]]:
        """Every response.create."""
        return [event for event in self.sent if event["type"] == "response.create"]

    @property
    def recited(self) -> list[str]:
        """What was said from memory."""
        return [command.text for command in self.all(r.PlayRecording)]

    @property
    def seen(self) -> list[dict[str, Any]]:
        """What the client was sent of the provider's events."""
        return [json.loads(command.event) for command in self.all(r.PassOn)]

    @property
    def outcomes(self) -> list[tuple[int, str]]:
        return [(command.turn_id, command.outcome) for command in self.all(c.TurnFinished)]
