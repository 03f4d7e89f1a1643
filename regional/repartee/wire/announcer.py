"""Tells the client what happens, in OpenAI Realtime (GA) server events and in their order.

Takes the turn core's commands and gives the events as JSON-ready dictionaries; audio deltas are told apart, since
their encoding is the session's. Pure: no time, no socket.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

from repartee.errors import ClientProtocolError
from repartee.turn import commands as c
from repartee.turn.history import is_own
from repartee.wire.own_events import OwnEvents
from repartee.wire.realtime_objects import AnnouncedResponse, item_json, response_id, settled, usage_json
from repartee.wire.session_settings import SessionSettings
from repartee.wire.transcript_deltas import TranscriptDeltas

ServerEvent = dict[str, Any]

CUT = {
    "session_lost": "The model's session was lost.",
    "answer_overdue": "The model has sent nothing for too long.",
}
"""Why nothing more comes of a provider's response, by the error's code."""


class Announcer:
    """The server's side of one session's events. ``own`` makes those that are not OpenAI's, for a client that asks.

    What an agent's own tools do is nothing that a client could act on: it sees neither their calls nor their results.
    """

    def __init__(self, call_id: str, own: OwnEvents | None = None) -> None:
        self.call_id = call_id
        self._own = own
        self._own_items: set[str] = set()
        self._event_ids = count(1)
        self._responses: dict[int, AnnouncedResponse] = {}
        self._settings = SessionSettings()
        self._counted_ms = 0
        self._deltas: dict[str, TranscriptDeltas] = {}
        self._tellers: dict[type[c.Command], Callable[[Any, int], list[ServerEvent]]] = {
            c.TurnStarted: self._turn_started,
            c.TurnHeard: self._turn_heard,
            c.TurnEnded: self._turn_ended,
            c.CallerIdle: self._caller_idle,
            c.ReplyStarted: self._reply_started,
            c.AnswerStarted: self._answer_started,
            c.ReplyWords: self._reply_words,
            c.ToolRequested: self._tool_requested,
            c.ItemAdded: self._item_added,
            c.ItemShown: self._item_shown,
            c.ItemRemoved: self._item_removed,
            c.InputCleared: lambda command, _: [self.event("input_audio_buffer.cleared")],
            c.ReplyEnded: self._reply_ended,
            c.AnswerCut: self._answer_cut,
        }

    @property
    def session_id(self) -> str:
        """The session's id."""
        return f"sess_{self.call_id}"

    def event(self, type_: str, /, **fields: Any) -> ServerEvent:
        """A server event with an id of its own."""
        return {"type": type_, "event_id": f"event_{self.call_id}_{next(self._event_ids)}", **fields}

    def tell(self, command: c.Command, audio_ms: int) -> list[ServerEvent]:
        """The events for a command (none for one the client need not know of). ``audio_ms`` is where it
        belongs in the audio that the client has sent."""
        teller = self._tellers.get(type(command))
        events = teller(command, audio_ms) if teller else []
        return events + self._told_beside(command) if self._own else events

    def key_received(self, digit: str, at_s: int) -> ServerEvent:
        """input_audio_buffer.dtmf_event_received, which has no id in OpenAI's protocol."""
        return {"type": "input_audio_buffer.dtmf_event_received", "event": digit, "received_at": at_s}

    def session(self, type_: str, settings: SessionSettings) -> ServerEvent:
        """session.created or session.updated. These settings are those of responses from now on."""
        self._settings = settings
        return self.event(type_, session=settings.as_json(self.session_id))

    def created(self, settings: SessionSettings) -> list[ServerEvent]:
        """session.created, and what a client that asks is sent of who answers."""
        created = [self.session("session.created", settings)]
        if self._own:
            type_, fields = self._own.created()
            created.append(self.event(type_, **fields))
        return created

    def recording_started(self) -> ServerEvent | None:
        """The call is recorded from now on; None for a client that does not ask for events of our own."""
        return self.event("repartee.recording.started", call_id=self.call_id) if self._own else None

    def ended(self, why: str, message: str) -> list[ServerEvent]:
        """The call is over, for a client that asks and that no close frame tells why."""
        if self._own is None:
            return []
        type_, fields = self._own.ended(why, message)
        return [self.event(type_, **fields)]

    def error(self, error: ClientProtocolError) -> ServerEvent:
        """The client's mistake, in OpenAI's shape."""
        return self._error("invalid_request_error", str(error), error.code, error.param, error.event_id)

    def failure(self, message: str, code: str) -> ServerEvent:
        """Something went wrong on the server's side; the call goes on."""
        return self._error("server_error", message, code, None, None)

    def audio_delta(self, reply_id: int) -> ServerEvent | None:
        """A response.output_audio.delta for this reply, without its ``delta``; None if it has ended."""
        response = self._responses.get(reply_id)
        if response is None or response.message is None:
            return None
        return self.event("response.output_audio.delta", **self._content(response))

    def truncated(self, item_id: str, content_index: int, heard_ms: float) -> ServerEvent:
        """An answer counts only as far as it was heard."""
        return self.event(
            "conversation.item.truncated",
            item_id=item_id,
            content_index=content_index,
            audio_end_ms=round(heard_ms),
        )

    def response_cut(self, response_id: str, *, sounded: bool, code: str = "session_lost") -> ServerEvent:
        """The end of a provider's response of which no more will come: a failure if some of it was heard."""
        status = "failed" if sounded else "cancelled"
        error = {"type": "server_error", "code": code, "message": CUT[code]}
        details: dict[str, Any] = {"type": status} | ({"error": error} if sounded else {})
        response: dict[str, Any] = {
            "object": "realtime.response",
            "id": response_id,
            "status": status,
            "status_details": details,
            "output": [],
            "usage": None,
            "metadata": None,
        }
        return self.event("response.done", response=response)

    # --- the caller ----------------------------------------------------------------------------------------------

    def _turn_started(self, command: c.TurnStarted, audio_ms: int) -> list[ServerEvent]:
        self._deltas = {command.item_id: TranscriptDeltas()}
        return [
            self.event("input_audio_buffer.speech_started", audio_start_ms=audio_ms, item_id=command.item_id)
        ]

    def _turn_heard(self, command: c.TurnHeard, audio_ms: int) -> list[ServerEvent]:
        """Words on the way; those of a turn that a provider has announced, it tells itself."""
        deltas = self._deltas.get(command.item_id)
        return self._transcribed(command.item_id, deltas.heard(command.text)) if deltas else []

    def _transcribed(self, item_id: str, delta: str) -> list[ServerEvent]:
        kind = "conversation.item.input_audio_transcription.delta"
        return [self.event(kind, item_id=item_id, content_index=0, delta=delta)] if delta else []

    def _caller_idle(self, command: c.CallerIdle, audio_ms: int) -> list[ServerEvent]:
        began_ms = max(audio_ms - round(command.silent_ms), 0)
        return [
            self.event(
                "input_audio_buffer.timeout_triggered",
                audio_start_ms=began_ms,
                audio_end_ms=audio_ms,
                item_id=command.item_id,
            )
        ]

    def _turn_ended(self, command: c.TurnEnded, audio_ms: int) -> list[ServerEvent]:
        item_id, previous = command.item_id, command.previous_item_id
        stopped = self.event("input_audio_buffer.speech_stopped", audio_end_ms=audio_ms, item_id=item_id)
        if command.item is None:
            return [stopped]
        heard = item_json(command.item)
        listened_ms, self._counted_ms = audio_ms - self._counted_ms, audio_ms
        deltas = self._deltas.pop(item_id, None)
        return [
            stopped,
            self.event("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous),
            self.event("conversation.item.added", previous_item_id=previous, item=heard),
            self.event("conversation.item.done", previous_item_id=previous, item=heard),
            *(self._transcribed(item_id, deltas.ended(command.item.text)) if deltas else ()),
            self.event(
                "conversation.item.input_audio_transcription.completed",
                item_id=item_id,
                content_index=0,
                transcript=command.item.text,
                usage={"type": "duration", "seconds": listened_ms / 1000},
            ),
        ]

    # --- the agent -----------------------------------------------------------------------------------------------

    def _reply_started(self, command: c.ReplyStarted, audio_ms: int) -> list[ServerEvent]:
        conversation_id = None if command.aside else f"conv_{self.call_id}"
        about = settled(self._settings, command.options) | {"conversation_id": conversation_id}
        response = AnnouncedResponse(response_id(self.call_id, command.reply_id), about, command.aside)
        self._responses[command.reply_id] = response
        return [self.event("response.created", response=response.as_json("in_progress"))]

    def _answer_started(self, command: c.AnswerStarted, audio_ms: int) -> list[ServerEvent]:
        response = self._responses[command.reply_id]
        response.message = command.message
        response.message_index = response.next_index
        response.next_index += 1
        item = item_json(command.message, status="in_progress", content=False)
        previous = response.message_after = command.previous_item_id
        return [
            self._output("added", response, response.message_index, item),
            *self._in_conversation("added", response, previous, item),
            self.event("response.content_part.added", **self._content(response), part=response.part("")),
        ]

    def _reply_words(self, command: c.ReplyWords, audio_ms: int) -> list[ServerEvent]:
        response = self._responses[command.reply_id]
        response.transcript += command.text
        name = "output_audio_transcript" if response.is_spoken else "output_text"
        return [self.event(f"response.{name}.delta", **self._content(response), delta=command.text)]

    def _tool_requested(self, command: c.ToolRequested, audio_ms: int) -> list[ServerEvent]:
        response, call = self._responses[command.reply_id], command.item
        if call.own:
            self._own_items.add(call.item_id)
            return []
        index = response.next_index
        response.next_index += 1
        begun = item_json(call, status="in_progress") | {"arguments": ""}
        done = item_json(call)
        response.outputs.append(done)
        place: dict[str, Any] = {
            "response_id": response.response_id,
            "item_id": call.item_id,
            "output_index": index,
            "call_id": call.call_id,
        }
        name, previous = "response.function_call_arguments", command.previous_item_id
        return [
            self._output("added", response, index, begun),
            *self._in_conversation("added", response, previous, begun),
            self.event(f"{name}.delta", **place, delta=call.arguments),
            self.event(f"{name}.done", **place, name=call.name, arguments=call.arguments),
            *self._in_conversation("done", response, previous, done),
            self._output("done", response, index, done),
        ]

    def _item_added(self, command: c.ItemAdded, audio_ms: int) -> list[ServerEvent]:
        if is_own(command.item):
            self._own_items.add(command.item.item_id)
            return []
        told, previous = item_json(command.item), command.previous_item_id
        return [
            self.event("conversation.item.added", previous_item_id=previous, item=told),
            self.event("conversation.item.done", previous_item_id=previous, item=told),
        ]

    def _item_shown(self, command: c.ItemShown, audio_ms: int) -> list[ServerEvent]:
        return [self.event("conversation.item.retrieved", item=item_json(command.item))]

    def _item_removed(self, command: c.ItemRemoved, audio_ms: int) -> list[ServerEvent]:
        if command.item_id in self._own_items:
            self._own_items.discard(command.item_id)
            return []
        return [self.event("conversation.item.deleted", item_id=command.item_id)]

    def _reply_ended(self, command: c.ReplyEnded, audio_ms: int) -> list[ServerEvent]:
        response = self._responses.pop(command.reply_id)
        events: list[ServerEvent] = []
        if response.message:
            status = "completed" if command.status == "completed" else "incomplete"
            item = item_json(response.message, status=status, text=response.transcript)
            response.outputs.insert(response.message_index, item)
            place, text = self._content(response), response.transcript
            if response.is_spoken:
                events.append(self.event("response.output_audio.done", **place))
                events.append(self.event("response.output_audio_transcript.done", **place, transcript=text))
            else:
                events.append(self.event("response.output_text.done", **place, text=text))
            part = response.part(text)
            events.append(self.event("response.content_part.done", **place, part=part))
            events += self._in_conversation("done", response, response.message_after, item)
            events.append(self._output("done", response, response.message_index, item))
        told = response.as_json(command.status, command.reason) | {"usage": usage_json(command.tokens)}
        return [*events, self.event("response.done", response=told)]

    def _answer_cut(self, command: c.AnswerCut, audio_ms: int) -> list[ServerEvent]:
        return [self.truncated(command.item_id, 0, command.heard_ms)]

    # --- inside --------------------------------------------------------------------------------------------------

    def _told_beside(self, command: c.Command) -> list[ServerEvent]:
        """The events of our own."""
        assert self._own is not None
        return [self.event(type_, **fields) for type_, fields in self._own.of(command, self._message_id)]

    def _message_id(self, reply_id: int) -> str | None:
        response = self._responses.get(reply_id)
        return response.message.item_id if response and response.message else None

    def _content(self, response: AnnouncedResponse) -> dict[str, Any]:
        assert response.message is not None
        return {
            "response_id": response.response_id,
            "item_id": response.message.item_id,
            "output_index": response.message_index,
            "content_index": 0,
        }

    def _in_conversation(
        self, what: str, response: AnnouncedResponse, previous: str | None, item: dict[str, Any]
    ) -> list[ServerEvent]:
        """An item of a response's, unless the conversation does not hold it."""
        kind = f"conversation.item.{what}"
        return [] if response.aside else [self.event(kind, previous_item_id=previous, item=item)]

    def _output(
        self, what: str, response: AnnouncedResponse, index: int, item: dict[str, Any]
    ) -> ServerEvent:
        return self.event(
            f"response.output_item.{what}",
            response_id=response.response_id,
            output_index=index,
            item=item,
        )

    def _error(
        self, kind: str, message: str, code: str | None, param: str | None, event_id: str | None
    ) -> ServerEvent:
        fault = {"type": kind, "code": code, "message": message, "param": param, "event_id": event_id}
        return self.event("error", error=fault)
