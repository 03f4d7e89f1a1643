"""What the provider tells in a relayed call, put into the books: turns, items, responses. And what is told besides.

Decides which of the provider's events the client is to see. Knows no socket and starts nothing.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from repartee.errors import ClientProtocolError
from repartee.session.agent_call import AgentCall
from repartee.session.relay_agent import RelayAgent, Response
from repartee.session.relay_sound import RelaySound
from repartee.turn import commands as c
from repartee.turn.history import Message
from repartee.turn.relayed_items import RelayedItems
from repartee.turn.relayed_turns import News, RelayedTurns, Traced
from repartee.wire import client_events as w
from repartee.wire import relay_events as wire
from repartee.wire.announcer import Announcer, ServerEvent, item_json

HIDDEN = frozenset(["session.created", "session.updated", "rate_limits.updated"])
"""Between us and the provider: the session that the client has is ours."""

MAX_OWN_ITEMS = 100


@dataclass(slots=True)
class Unheard:
    """What a lost session leaves to do: events to tell, whether the caller's audio is to be sent again, and whether
    an answer is to be asked for."""

    news: list[ServerEvent] = field(default_factory=list)
    again: bool = False
    ask: bool = False


@dataclass(slots=True)
class OwnReply:
    """Something said without the provider: the events before, with and after its audio (``delta`` lacks it)."""

    item_id: str
    beginning: list[ServerEvent]
    delta: ServerEvent
    ending: list[ServerEvent]


class RelayNews:
    """One call's."""

    def __init__(
        self,
        agent: AgentCall,
        doings: RelayAgent,
        turns: RelayedTurns,
        items: RelayedItems,
        sound: RelaySound,
        announcer: Announcer,
    ) -> None:
        self._agent = agent
        self._doings = doings
        self._turns = turns
        self._items = items
        self._sound = sound
        self._announcer = announcer
        self._hidden: set[str] = set()
        self._outside: dict[str, Message] = {}
        self._words: dict[str, str] = {}
        self._news: list[News] = []
        self._added: list[ServerEvent] = []
        self._replies = 0
        self._told_speaking = False
        self.played_at: float | None = None
        self.turn_waits = False
        """The caller's turn has ended, and the provider has not begun to answer it."""

    def news(self) -> list[News]:
        """What has become of turns since this was asked."""
        news, self._news = self._news, []
        return news

    def added(self) -> list[ServerEvent]:
        """Events of our own that belong after the provider's last one."""
        added, self._added = self._added, []
        return added

    def take(self, event: wire.ProviderEvent) -> bool:
        """An event of the provider's goes into the books; whether the client is to see it."""
        now = time.monotonic()
        match event.type:
            case "input_audio_buffer.speech_started":
                return self._speech_started(now)
            case "input_audio_buffer.speech_stopped":
                self._told_speaking = False
                self.turn_waits = True
                self._news += self._turns.stopped(now, self._sound.speech_ended_at())
            case "input_audio_buffer.committed":
                if self._turns.speaking or not self._turns.unanswered:  # committed by the client
                    self._told_speaking = False
                    self._news += self._turns.stopped(now, self._sound.speech_ended_at())
            case "conversation.item.input_audio_transcription.delta" if event.item_id:
                self._hear(event.item_id, self._words.get(event.item_id, "") + (event.delta or ""))
            case "conversation.item.input_audio_transcription.completed" if event.item_id:
                self._hear(event.item_id, event.transcript or "", complete=True)
            case "conversation.item.added" | "conversation.item.done" if event.item is not None:
                return self._item(event.item, event.previous_item_id, done=event.type.endswith("done"))
            case "conversation.item.deleted" if event.item_id:
                self._items.remove(event.item_id)
            case kind if kind.startswith("response."):
                self._response(event, now)
            case kind:
                return kind not in HIDDEN
        return True

    # --- the caller ----------------------------------------------------------------------------------------------

    def _speech_started(self, now: float) -> bool:
        again, self._told_speaking = self._told_speaking, True
        self.turn_waits = False
        if not again:
            self._news += self._turns.started(now)
            self._doings.caller_spoke()
        return not again

    def _hear(self, item_id: str, text: str, *, complete: bool = False) -> None:
        self._agent.heard(self._turns.turn_id, text)
        if complete:
            self._words.pop(item_id, None)
            self._items.says(item_id, text)
            return
        self._words[item_id] = text
        self._added.append(
            self._announcer.event(
                "repartee.transcript.partial", turn_id=self._turns.turn_id, item_id=item_id, text=text
            )
        )

    def _item(self, item: wire.ItemSeen, after: str | None, *, done: bool) -> bool:
        if item.id in self._hidden:
            if done:
                self._hidden.discard(item.id)
            return False
        fields: dict[str, Any] = {"type": item.type}
        for key in ("role", "call_id", "name", "arguments", "output"):
            if (value := getattr(item, key)) is not None:
                fields[key] = value
        texts = [part.text if part.text is not None else part.transcript for part in item.content]
        # A call's arguments are not complete before it is done.
        if item.type in ("message", "function_call_output") or (item.type == "function_call" and done):
            text = " ".join(text for text in texts if text)
            self._items.add(item.id, fields, text=text or None, after=after)
        return True

    # --- responses -----------------------------------------------------------------------------------------------

    def _response(self, event: wire.ProviderEvent, now: float) -> None:
        match event.type:
            case "response.created" if event.response is not None:
                self.turn_waits = False
                self._doings.created(event.response)
            case "response.output_item.added" if event.item is not None and event.response_id:
                self._output_added(event.response_id, event.item)
            case "response.output_item.done" if event.item is not None and event.response_id:
                if event.item.type == "function_call" and event.item.status == "completed":
                    self._doings.called(event.response_id, event.item)
            case "response.output_audio_transcript.delta" | "response.output_text.delta" if event.item_id:
                self._items.continues(event.item_id, event.delta or "")
            case "response.output_text.done":
                self._turns.wrote()
            case "response.output_audio.done" if event.response_id:
                self._sound.end(event.response_id)
            case "response.done" if event.response is not None:
                self._done(event.response, now)

    def _output_added(self, response_id: str, item: wire.ItemSeen) -> None:
        response = self._doings.responses.get(response_id)
        if response is None or item.type != "message":
            return
        response.item_id = item.id
        if response.outside:
            self._remember_outside(Message(item.id, "assistant", "", spoken=True))

    def _done(self, seen: wire.ResponseSeen, now: float) -> None:
        response = self._doings.responses.get(seen.id)
        self._doings.done(seen)
        if response is not None and response.outside:
            return
        calls = any(item.type == "function_call" for item in seen.output)
        failed = seen.status in ("failed", "cancelled")
        self.played_at = self._turns.responded(now, more=calls and not failed, failed=failed)
        if not self._turns.unanswered:
            self._sound.forget()

    # --- what the provider does not know of -----------------------------------------------------------------------

    def hide(self, item_id: str) -> None:
        """The client knows this item already: do not tell it again."""
        self._hidden.add(item_id)

    def is_ours(self, item_id: str) -> bool:
        """Whether this item is in no conversation of the provider's."""
        return item_id in self._outside

    def about_ours(self, event: w.TruncateItem | w.RetrieveItem | w.DeleteItem) -> list[ServerEvent]:
        """The answer to a client's event about such an item. Raises ClientProtocolError."""
        item_id, announcer = event.item_id, self._announcer
        match event:
            case w.TruncateItem(audio_end_ms=heard_ms, content_index=index):
                if heard_ms < 0:
                    raise ClientProtocolError("audio_end_ms must be 0 or more.", param="audio_end_ms")
                return [
                    announcer.event(
                        "conversation.item.truncated",
                        item_id=item_id,
                        content_index=index,
                        audio_end_ms=round(heard_ms),
                    )
                ]
            case w.RetrieveItem():
                told = item_json(self._outside[item_id])
                return [announcer.event("conversation.item.retrieved", item=told)]
            case _:
                del self._outside[item_id]
                return [announcer.event("conversation.item.deleted", item_id=item_id)]

    def own_reply(self, text: str) -> OwnReply:
        """A reply that is played from memory."""
        self._replies += 1
        number, tell, turn_id = self._replies, self._announcer.tell, self._turns.turn_id
        message = Message(f"item_{self._announcer.call_id}_{number}", "assistant", text, spoken=True)
        self._remember_outside(message)
        begun = (
            c.ReplyStarted(number, turn_id),
            c.AnswerStarted(number, message, None),
            c.ReplyWords(number, text),
        )
        beginning = [event for command in begun for event in tell(command, 0)]
        delta = self._announcer.audio_delta(number) or {}
        return OwnReply(
            message.item_id, beginning, delta, tell(c.ReplyEnded(number, turn_id, "completed", message), 0)
        )

    def _remember_outside(self, message: Message) -> None:
        self._outside[message.item_id] = message
        while len(self._outside) > MAX_OWN_ITEMS:
            del self._outside[next(iter(self._outside))]

    def latency(self, traced: Traced, region: str, providers: Mapping[str, str]) -> ServerEvent:
        """A turn's trace, as an event."""
        return self._announcer.event(
            "repartee.turn.latency",
            call_id=self._announcer.call_id,
            response_id=traced.response_id,
            item_id=traced.item_id,
            region=region,
            providers=dict(providers),
            **msgspec.structs.asdict(traced.trace),
        )

    # --- another session -----------------------------------------------------------------------------------------

    def restarted(self, *, lost: bool, automatic: bool) -> Unheard:
        """Another session begins, in which nothing of this is known. What was under way is over. ``automatic``: the
        provider answers turns without being asked."""
        answering = self._doings.answering
        left = Unheard([self._cut(response) for response in self._doings.responses.values()])
        left.again = not lost or self._turns.speaking or self._sound.suspects
        self.turn_waits = False
        unheard = self._items.drop_unheard()
        self._words.clear()
        if lost and automatic and self._turns.unanswered and not self._doings.more_to_come:
            left.again = left.again or unheard
            left.ask = not unheard and not self._turns.speaking
        elif answering is not None and not answering.sounded:
            left.ask = True
        elif answering is not None:
            self.played_at = self._turns.responded(time.monotonic(), more=False, failed=True)
        return left

    def _cut(self, response: Response) -> ServerEvent:
        """The end of a response whose session is gone: a failure if some of it was heard."""
        status = "failed" if response.sounded else "cancelled"
        error = {"type": "server_error", "code": "session_lost", "message": "The model's session was lost."}
        details: dict[str, Any] = {"type": status} | ({"error": error} if response.sounded else {})
        told: dict[str, Any] = {
            "object": "realtime.response",
            "id": response.response_id,
            "status": status,
            "status_details": details,
            "output": [],
            "usage": None,
            "metadata": None,
        }
        return self._announcer.event("response.done", response=told)
