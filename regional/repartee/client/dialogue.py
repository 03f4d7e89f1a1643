"""One call as the caller sees it: who said what, what was heard, and how long each answer took.

Owns the client's side of the session protocol without any I/O: server events and audio go in with the time at which
they came, events to send come out. Must not know sockets, clocks or files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from repartee.client.playback import PlaybackClock

Event = Mapping[str, Any]

LAST_WORDS_S = 2.0
"""After a question's last word, how long the server may take to show that it has heard more than it answered."""

DISAGREEMENT_STAGE = "end_of_turn"
"""Where a server's figure that exceeds the client's own is put right: both saw the same answer, so they can only
differ in where the question ended."""


@dataclass(slots=True)
class Turn:
    """A question and its answer. Times are seconds of the caller's clock.

    A question with a pause in it may be several turns to the server. It is answered by what the server says to the
    last of them; what it said to those before is part of the answer as far as it was heard.
    """

    question: str
    speech_started_s: float
    speech_ended_s: float | None = None
    heard: dict[str, str] = field(default_factory=dict)
    """What the server heard, by its items, in the order in which they began."""
    unfinished: set[str] = field(default_factory=set)
    """Those that go on still."""
    committed_at_s: float | None = None
    """When the server took the latest of them for complete."""
    answers: dict[str, str] = field(default_factory=dict)
    """What was said, by items; of an answer that was interrupted, what was heard."""
    answer_item: str | None = None
    responses: list[str] = field(default_factory=list)
    given_up: set[str] = field(default_factory=set)
    """Those that answered only a part of the question."""
    tools: set[str] = field(default_factory=set)
    """The calls of the agent's own tools that have not answered."""
    calls_tools: bool = False
    """The response under way has called one: another response follows it."""
    answered_at_s: float | None = None
    latency: Event | None = None
    done: bool = False
    failed: str | None = None
    apologised: bool = False
    """What was said was an apology: that is no answer."""

    interrupted: bool = False
    reported: bool = False
    """The server knows when the answer was heard."""

    @property
    def heard_as(self) -> str:
        """What the server understood."""
        return " ".join(text for text in self.heard.values() if text)

    @property
    def answer(self) -> str:
        """What was said; of what was interrupted, what was heard."""
        return " ".join(text.strip() for text in self.answers.values() if text.strip())

    @property
    def voice_to_voice_ms(self) -> float | None:
        """From the last sample of speech sent to the first audible one received.

        None while unanswered, and if the answer began before the question was over.
        """
        if self.answered_at_s is None or self.speech_ended_s is None or self.apologised:
            return None
        if self.answered_at_s < self.speech_ended_s:
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
        self._turn_heard: dict[str, Turn] = {}
        self._committed: Turn | None = None
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
                self._speech_started(event)
                return self._barge_in(now)
            case "input_audio_buffer.speech_stopped" | "input_audio_buffer.committed" as kind:
                self._speech_stopped(event, now, committed=kind.endswith("committed"))
            case "conversation.item.input_audio_transcription.completed":
                self._transcribed(event)
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
            case str(kind) if kind.startswith("repartee."):
                self._own(kind, event)
            case "error":
                self.errors.append(str((event.get("error") or {}).get("message", event)))
        return []

    def settle(self) -> None:
        """Work out when each answer was first heard, as far as it has been received."""
        for turn in self.turns:
            item = (turn.latency or {}).get("item_id") or turn.answer_item
            if item is not None:
                turn.answered_at_s = self.playback.audible_at_s(str(item))

    def heard_reports(self) -> list[dict[str, Any]]:
        """What to tell the server of answers that have become audible: what this side has added to its figures. A
        recording goes out as it is and is heard as it comes, so that is the network alone."""
        reports = []
        for turn in self.turns[-2:]:
            turn_id = (turn.latency or {}).get("turn_id")
            if turn.reported or turn_id is None or turn.voice_to_voice_ms is None:
                continue
            turn.reported = True
            stages = {"capture": 0.0, "network": round(turn.stages_ms()["network"], 3), "playback": 0.0}
            reports.append({"type": "repartee.turn.heard", "turn_id": turn_id, "stages_ms": stages})
        return reports

    def finished(self, turn: Turn, now: float) -> bool:
        """Whether the turn's answer has been given and heard to its end (or was interrupted)."""
        if turn.failed:
            return True
        if turn.unfinished or self._more_to_come(turn, now):
            return False
        heard = turn.interrupted or self.playback.ends_at_s <= now
        return turn.done and heard and (turn.latency is not None or turn.answered_at_s is None)

    def _more_to_come(self, turn: Turn, now: float) -> bool:
        """Whether the server may yet show that it has heard the end of the question, of which it knew a part."""
        ended_s, committed_s = turn.speech_ended_s, turn.committed_at_s
        if ended_s is None or committed_s is None or committed_s >= ended_s:
            return False
        return now < ended_s + LAST_WORDS_S

    def _speech_started(self, event: Event) -> None:
        """The server hears the current question, or more of it: what it answered before was to a part only."""
        if not self.turns:
            return
        turn, item = self.turns[-1], str(event.get("item_id"))
        self._turn_heard[item] = turn
        turn.heard[item] = ""
        turn.unfinished.add(item)
        turn.given_up.update(turn.responses)
        turn.done = False

    def _speech_stopped(self, event: Event, now: float, *, committed: bool) -> None:
        turn = self._turn_heard.get(str(event.get("item_id")))
        if turn is None:
            return
        turn.unfinished.discard(str(event.get("item_id")))
        if committed:
            turn.committed_at_s = now
            self._committed = turn

    def _transcribed(self, event: Event) -> None:
        item = str(event.get("item_id"))
        turn = self._turn_heard.get(item) or (self.turns[-1] if self.turns else None)
        if turn is not None:
            turn.heard[item] = str(event.get("transcript", ""))

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
            if item.get("id") in turn.answers:
                turn.answers[str(item["id"])] = "".join(
                    str(part.get("transcript") or "") for part in item.get("content") or []
                )

    def _response_created(self, event: Event) -> None:
        response_id = str((event.get("response") or {}).get("id"))
        turn = self._committed
        if turn is None and not self._turn_heard and self.turns:
            turn = self.turns[-1]  # a server that does not say what it hears
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
            self._replace(turn, self._item)

    def _replace(self, turn: Turn, item: str) -> None:
        """The turn has another answer. One before it counts if it was to a part of the question, and was heard."""
        last, to_a_part = turn.answer_item, bool(turn.given_up)
        if last is not None and not (to_a_part and self.playback.audible_at_s(last) is not None):
            turn.answers.pop(last, None)
        turn.answer_item = item
        turn.answers[item] = ""
        turn.interrupted = False
        turn.answered_at_s = None
        if turn.latency is not None and turn.latency.get("response_id") in turn.given_up:
            turn.latency = None

    def _said(self, event: Event) -> None:
        turn = self._turn_of.get(str(event.get("response_id")))
        text = str(event.get("delta", ""))
        if turn is None:
            self.greeting += text
        elif (item := str(event.get("item_id", turn.answer_item))) == turn.answer_item:
            turn.answers[item] += text

    def _response_done(self, event: Event) -> None:
        self.responding = False
        response = event.get("response") or {}
        turn = self._turn_of.get(str(response.get("id")))
        if turn is None or response.get("id") in turn.given_up:
            return
        output = response.get("output") or []
        follows = any(item.get("type") == "function_call" for item in output) or turn.calls_tools
        turn.done = not (follows or turn.tools)
        turn.calls_tools = False
        status = response.get("status")
        if status == "cancelled":
            turn.interrupted = turn.done = turn.answer_item is not None
        if status == "failed":
            details = (response.get("status_details") or {}).get("error") or {}
            turn.failed = str(details.get("message") or "the server could not answer")

    def _own(self, kind: str, event: Event) -> None:
        match kind:
            case "repartee.turn.latency":
                self._latency(event)
            case "repartee.turn.finished":
                self._finished(event)
            case "repartee.tool.called" | "repartee.tool.answered":
                self._tool(str(event.get("call_id")), called=kind.endswith("called"))

    def _tool(self, call_id: str, *, called: bool) -> None:
        """The agent runs a tool of its own, or has its result: what it says meanwhile is not the answer."""
        turn = self._committed or (self.turns[-1] if self.turns else None)
        if turn is None:
            return
        if called:
            turn.tools.add(call_id)
            turn.calls_tools = self.responding
            turn.done = False
        else:
            turn.tools.discard(call_id)

    def _finished(self, event: Event) -> None:
        """The server has given a turn up: what it says in place of an answer is an apology."""
        turn = self._committed
        if event.get("apology") and turn is not None:
            turn.apologised = True
            turn.failed = turn.failed or "the agent apologised"

    def _latency(self, event: Event) -> None:
        response_id = str(event.get("response_id"))
        turn = self._turn_of.get(response_id)
        if turn is not None and response_id not in turn.given_up:
            turn.latency = event
            self.call_id = str(event.get("call_id") or self.call_id)
