"""One call as the caller sees it: who said what, what was heard, and how long each answer took.

Owns the client's side of the session protocol without any I/O: server events and audio go in with the time at which
they came, events to send come out. Must not know sockets, clocks or files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from repartee.client.playback import PlaybackClock

Event = Mapping[str, Any]

DISAGREEMENT_STAGE = "end_of_turn"
"""Where a server's figure that exceeds the client's own is put right: both saw the same answer, so they can only
differ in where the question ended."""


@dataclass(slots=True)
class Turn:
    """A question and its answer. Times are seconds of the caller's clock."""

    question: str
    speech_started_s: float
    speech_ended_s: float | None = None
    heard_as: str = ""
    answer: str = ""
    """What was said; of an answer that was interrupted, what was heard."""
    answer_item: str | None = None
    responses: list[str] = field(default_factory=list)
    answered_at_s: float | None = None
    latency: Event | None = None
    done: bool = False
    failed: str | None = None
    interrupted: bool = False

    @property
    def voice_to_voice_ms(self) -> float | None:
        """From the last sample of speech sent to the first audible one received; None while unanswered."""
        if self.answered_at_s is None or self.speech_ended_s is None:
            return None
        return 1000 * (self.answered_at_s - self.speech_ended_s)

    def stages_ms(self) -> dict[str, float]:
        """The server's stages and ``network`` (what is left); they sum to :attr:`voice_to_voice_ms`."""
        total = self.voice_to_voice_ms
        if total is None:
            return {}
        stages = {str(name): float(ms) for name, ms in ((self.latency or {}).get("stages_ms") or {}).items()}
        network_ms = total - sum(stages.values())
        if network_ms < 0 and DISAGREEMENT_STAGE in stages:
            stages[DISAGREEMENT_STAGE] += network_ms
            network_ms = 0.0
        stages["network"] = network_ms
        return stages


class Dialogue:
    """The state of a call. ``playback`` is the loudspeaker that the answers are heard through."""

    def __init__(self, playback: PlaybackClock) -> None:
        self.playback = playback
        self.turns: list[Turn] = []
        self.call_id: str | None = None
        self.greeting = ""
        self.responding = False
        self.errors: list[str] = []
        self._turn_of: dict[str, Turn | None] = {}
        self._item: str | None = None
        self._flushed: set[str] = set()

    def question_started(self, question: str, now: float) -> Turn:
        """The caller begins to speak (the first sample of speech has been sent)."""
        turn = Turn(question, now)
        self.turns.append(turn)
        return turn

    def receive_audio(self, pcm: bytes, now: float) -> None:
        """A binary frame: audio of the item that was announced last."""
        if self._item is not None and self._item not in self._flushed:
            self.playback.add(self._item, pcm, now)

    def receive(self, event: Event, now: float) -> list[dict[str, Any]]:
        """A server event (audio in it already taken out, by :meth:`receive_audio`); returns what to send."""
        match event.get("type"):
            case "session.created":
                self.call_id = (event.get("session") or {}).get("id")
            case "input_audio_buffer.speech_started":
                return self._barge_in(now)
            case "conversation.item.input_audio_transcription.completed":
                if self.turns:
                    self.turns[-1].heard_as = str(event.get("transcript", ""))
            case "response.created":
                self._response_created(event)
            case "response.output_item.added":
                self._item_added(event)
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                self._said(event)
            case "response.done":
                self._response_done(event)
            case "conversation.item.retrieved":
                self._retrieved(event)
            case "repartee.turn.latency":
                self._latency(event)
            case "error":
                self.errors.append(str((event.get("error") or {}).get("message", event)))
        return []

    def settle(self) -> None:
        """Work out when each answer was first heard, as far as it has been received."""
        for turn in self.turns:
            item = (turn.latency or {}).get("item_id") or turn.answer_item
            if item is not None:
                turn.answered_at_s = self.playback.audible_at_s(str(item))

    def finished(self, turn: Turn, now: float) -> bool:
        """Whether the turn's answer has been given and heard to its end (or was interrupted)."""
        if turn.failed:
            return True
        heard = turn.interrupted or self.playback.ends_at_s <= now
        return turn.done and heard and (turn.latency is not None or turn.answered_at_s is None)

    def _barge_in(self, now: float) -> list[dict[str, Any]]:
        stopped = self.playback.stop(now)
        if stopped is None:
            return []
        self._flushed.add(stopped.item_id)
        for turn in self.turns:
            if turn.answer_item == stopped.item_id:
                turn.interrupted = True
        return [
            {
                "type": "conversation.item.truncate",
                "item_id": stopped.item_id,
                "content_index": 0,
                "audio_end_ms": stopped.played_ms,
            },
            # What is left of it in the history is what was heard.
            {"type": "conversation.item.retrieve", "item_id": stopped.item_id},
        ]

    def _retrieved(self, event: Event) -> None:
        item = event.get("item") or {}
        for turn in self.turns:
            if turn.answer_item == item.get("id"):
                turn.answer = "".join(str(part.get("transcript") or "") for part in item.get("content") or [])

    def _response_created(self, event: Event) -> None:
        response_id = str((event.get("response") or {}).get("id"))
        turn = self.turns[-1] if self.turns else None
        self._turn_of[response_id] = turn
        self.responding = True
        if turn is not None:
            turn.responses.append(response_id)
            turn.done = False

    def _item_added(self, event: Event) -> None:
        item = event.get("item") or {}
        if item.get("type") != "message":
            return
        self._item = str(item.get("id"))
        turn = self._turn_of.get(str(event.get("response_id")))
        if turn is not None:
            turn.answer_item = self._item
            turn.answer = ""

    def _said(self, event: Event) -> None:
        turn = self._turn_of.get(str(event.get("response_id")))
        text = str(event.get("delta", ""))
        if turn is None:
            self.greeting += text
        elif event.get("item_id", turn.answer_item) == turn.answer_item:
            turn.answer += text

    def _response_done(self, event: Event) -> None:
        self.responding = False
        response = event.get("response") or {}
        turn = self._turn_of.get(str(response.get("id")))
        if turn is None:
            return
        output = response.get("output") or []
        turn.done = not any(item.get("type") == "function_call" for item in output)
        status = response.get("status")
        if status == "cancelled" and turn.answer_item is not None:
            turn.interrupted = True
        if status == "failed":
            details = (response.get("status_details") or {}).get("error") or {}
            turn.failed = str(details.get("message") or "the server could not answer")

    def _latency(self, event: Event) -> None:
        turn = self._turn_of.get(str(event.get("response_id")))
        if turn is not None:
            turn.latency = event
            self.call_id = str(event.get("call_id") or self.call_id)
