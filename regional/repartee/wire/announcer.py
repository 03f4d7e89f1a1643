"""Tells the client what happens, in OpenAI Realtime (GA) server events and in their order.

Takes the turn core's commands and gives the events as JSON-ready dictionaries; audio deltas are told apart, since
their encoding is the session's. Pure: no time, no socket.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec

from repartee.errors import ClientProtocolError
from repartee.turn import commands as c
from repartee.turn.history import FunctionCall, FunctionOutput, Item, Message
from repartee.wire.client_events import ResponseParams
from repartee.wire.session_config import DEFAULT_VOICE, SessionConfig

ServerEvent = dict[str, Any]

NO_USAGE = {
    "total_tokens": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 0, "cached_tokens": 0},
    "output_token_details": {"text_tokens": 0, "audio_tokens": 0},
}
"""Tokens are not counted, but clients read these fields of every response.done."""


class _Response:
    """What a response has consisted of so far. ``about`` is what was settled about it at its start."""

    def __init__(self, response_id: str, about: dict[str, Any]) -> None:
        self.response_id = response_id
        self.about = about
        self.message: Message | None = None
        self.message_index = 0
        self.message_after: str | None = None
        self.transcript = ""
        self.outputs: list[dict[str, Any]] = []
        self.next_index = 0


class Announcer:
    """The server's side of one session's events."""

    def __init__(self, call_id: str, region: str, providers: dict[str, str]) -> None:
        self.call_id = call_id
        self._region = region
        self._providers = providers
        self._event_ids = count(1)
        self._responses: dict[int, _Response] = {}
        self._config = SessionConfig()
        self._turn_started_ms = 0
        self._tellers: dict[type[c.Command], Callable[[Any, int], list[ServerEvent]]] = {
            c.TurnStarted: self._turn_started,
            c.TurnHeard: self._turn_heard,
            c.TurnEnded: self._turn_ended,
            c.ReplyStarted: self._reply_started,
            c.AnswerStarted: self._answer_started,
            c.ReplyWords: self._reply_words,
            c.ToolRequested: self._tool_requested,
            c.ItemAdded: lambda command, _: self.item_added(command.item, command.previous_item_id),
            c.ItemShown: self._item_shown,
            c.ItemRemoved: self._item_removed,
            c.InputCleared: lambda command, _: [self.event("input_audio_buffer.cleared")],
            c.ReplyEnded: self._reply_ended,
            c.AnswerCut: self._answer_cut,
            c.TurnTraced: self._turn_traced,
            c.TurnFinished: self._turn_finished,
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
        return teller(command, audio_ms) if teller else []

    def session(self, type_: str, config: SessionConfig) -> ServerEvent:
        """session.created or session.updated. These settings are those of responses from now on."""
        self._config = config
        return self.event(type_, session=config.as_json(self.session_id))

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

    def response_cut(self, response_id: str, *, sounded: bool) -> ServerEvent:
        """The end of a provider's response whose session is lost: a failure if some of it was heard."""
        status = "failed" if sounded else "cancelled"
        error = {"type": "server_error", "code": "session_lost", "message": "The model's session was lost."}
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

    def item_added(self, item: Item, previous_item_id: str | None) -> list[ServerEvent]:
        """An item that is complete was put into the conversation."""
        told = item_json(item)
        return [
            self.event("conversation.item.added", previous_item_id=previous_item_id, item=told),
            self.event("conversation.item.done", previous_item_id=previous_item_id, item=told),
        ]

    # --- the caller ----------------------------------------------------------------------------------------------

    def _turn_started(self, command: c.TurnStarted, audio_ms: int) -> list[ServerEvent]:
        self._turn_started_ms = audio_ms
        return [
            self.event("input_audio_buffer.speech_started", audio_start_ms=audio_ms, item_id=command.item_id)
        ]

    def _turn_heard(self, command: c.TurnHeard, audio_ms: int) -> list[ServerEvent]:
        return [
            self.event(
                "repartee.transcript.partial",
                turn_id=command.turn_id,
                item_id=command.item_id,
                text=command.text,
            )
        ]

    def _turn_ended(self, command: c.TurnEnded, audio_ms: int) -> list[ServerEvent]:
        item_id, previous = command.item_id, command.previous_item_id
        stopped = self.event("input_audio_buffer.speech_stopped", audio_end_ms=audio_ms, item_id=item_id)
        if command.item is None:
            return [stopped]
        heard = item_json(command.item, heard=True)
        return [
            stopped,
            self.event("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous),
            self.event("conversation.item.added", previous_item_id=previous, item=heard),
            self.event("conversation.item.done", previous_item_id=previous, item=heard),
            self.event(
                "conversation.item.input_audio_transcription.completed",
                item_id=item_id,
                content_index=0,
                transcript=command.item.text,
                usage={"type": "duration", "seconds": (audio_ms - self._turn_started_ms) / 1000},
            ),
        ]

    # --- the agent -----------------------------------------------------------------------------------------------

    def _reply_started(self, command: c.ReplyStarted, audio_ms: int) -> list[ServerEvent]:
        about = _about(self._config, command.options) | {"conversation_id": f"conv_{self.call_id}"}
        response = _Response(response_id(self.call_id, command.reply_id), about)
        self._responses[command.reply_id] = response
        return [self.event("response.created", response=_response_json(response, "in_progress"))]

    def _answer_started(self, command: c.AnswerStarted, audio_ms: int) -> list[ServerEvent]:
        response = self._responses[command.reply_id]
        response.message = command.message
        response.message_index = response.next_index
        response.next_index += 1
        item = item_json(command.message, status="in_progress", content=False)
        previous = response.message_after = command.previous_item_id
        return [
            self._output("added", response, response.message_index, item),
            self.event("conversation.item.added", previous_item_id=previous, item=item),
            self.event("response.content_part.added", **self._content(response), part=_part(response, "")),
        ]

    def _reply_words(self, command: c.ReplyWords, audio_ms: int) -> list[ServerEvent]:
        response = self._responses[command.reply_id]
        response.transcript += command.text
        name = "output_audio_transcript" if _is_spoken(response) else "output_text"
        return [self.event(f"response.{name}.delta", **self._content(response), delta=command.text)]

    def _tool_requested(self, command: c.ToolRequested, audio_ms: int) -> list[ServerEvent]:
        response, call = self._responses[command.reply_id], command.item
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
            self.event("conversation.item.added", previous_item_id=previous, item=begun),
            self.event(f"{name}.delta", **place, delta=call.arguments),
            self.event(f"{name}.done", **place, name=call.name, arguments=call.arguments),
            self.event("conversation.item.done", previous_item_id=previous, item=done),
            self._output("done", response, index, done),
        ]

    def _item_shown(self, command: c.ItemShown, audio_ms: int) -> list[ServerEvent]:
        return [self.event("conversation.item.retrieved", item=item_json(command.item))]

    def _item_removed(self, command: c.ItemRemoved, audio_ms: int) -> list[ServerEvent]:
        return [self.event("conversation.item.deleted", item_id=command.item_id)]

    def _reply_ended(self, command: c.ReplyEnded, audio_ms: int) -> list[ServerEvent]:
        response = self._responses.pop(command.reply_id)
        events: list[ServerEvent] = []
        if response.message:
            status = "completed" if command.status == "completed" else "incomplete"
            item = item_json(response.message, status=status, text=response.transcript)
            response.outputs.insert(response.message_index, item)
            place, text = self._content(response), response.transcript
            if _is_spoken(response):
                events.append(self.event("response.output_audio.done", **place))
                events.append(self.event("response.output_audio_transcript.done", **place, transcript=text))
            else:
                events.append(self.event("response.output_text.done", **place, text=text))
            part = _part(response, text)
            events.append(self.event("response.content_part.done", **place, part=part))
            after = response.message_after
            events.append(self.event("conversation.item.done", previous_item_id=after, item=item))
            events.append(self._output("done", response, response.message_index, item))
        told = _response_json(response, command.status, command.reason) | {"usage": NO_USAGE}
        return [*events, self.event("response.done", response=told)]

    def _answer_cut(self, command: c.AnswerCut, audio_ms: int) -> list[ServerEvent]:
        return [self.truncated(command.item_id, 0, command.heard_ms)]

    # --- figures -------------------------------------------------------------------------------------------------

    def _turn_traced(self, command: c.TurnTraced, audio_ms: int) -> list[ServerEvent]:
        trace = command.trace
        response = self._responses.get(trace.reply_id)
        return [
            self.event(
                "repartee.turn.latency",
                call_id=self.call_id,
                response_id=command.response_id or response_id(self.call_id, trace.reply_id),
                item_id=command.item_id
                or (response.message.item_id if response and response.message else None),
                region=self._region,
                providers=self._providers,
                **msgspec.structs.asdict(trace),
            )
        ]

    def _turn_finished(self, command: c.TurnFinished, audio_ms: int) -> list[ServerEvent]:
        return [self.event("repartee.turn.finished", turn_id=command.turn_id, outcome=command.outcome)]

    # --- inside --------------------------------------------------------------------------------------------------

    def _content(self, response: _Response) -> dict[str, Any]:
        assert response.message is not None
        return {
            "response_id": response.response_id,
            "item_id": response.message.item_id,
            "output_index": response.message_index,
            "content_index": 0,
        }

    def _output(self, what: str, response: _Response, index: int, item: dict[str, Any]) -> ServerEvent:
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


def response_id(call_id: str, reply_id: int) -> str:
    """The id by which clients know a reply."""
    return f"resp_{call_id}_{reply_id}"


def reply_id_of(call_id: str, known_as: str) -> int | None:
    """The reply that clients know by this id; None if the call has given no such id."""
    number = known_as.removeprefix(response_id(call_id, 0)[:-1])
    return (
        int(number)
        if number.isascii() and number.isdigit() and response_id(call_id, int(number)) == known_as
        else None
    )


def item_json(
    item: Item,
    *,
    status: str = "completed",
    text: str | None = None,
    content: bool = True,
    heard: bool = False,
) -> dict[str, Any]:
    """An item as OpenAI's conversation item. ``heard``: the message came in as audio."""
    base = {"id": item.item_id, "object": "realtime.item", "status": status}
    if isinstance(item, FunctionCall):
        call = {"call_id": item.call_id, "name": item.name, "arguments": item.arguments}
        return base | {"type": "function_call"} | call
    if isinstance(item, FunctionOutput):
        return base | {"type": "function_call_output", "call_id": item.call_id, "output": item.output}
    said = item.heard_text if text is None else text
    if item.spoken:
        part = {"type": "output_audio", "transcript": said}
    elif heard:
        part = {"type": "input_audio", "transcript": said}
    else:
        part = {"type": "output_text" if item.role == "assistant" else "input_text", "text": said}
    return base | {"type": "message", "role": item.role, "content": [part] if content else []}


def _is_spoken(response: _Response) -> bool:
    return response.message is not None and response.message.spoken


def _part(response: _Response, text: str) -> dict[str, str]:
    return {"type": "audio", "transcript": text} if _is_spoken(response) else {"type": "text", "text": text}


def _about(config: SessionConfig, options: ResponseParams | None) -> dict[str, Any]:
    """The settings that a response is made with: its own before the session's."""
    options = options or ResponseParams()
    output = {"format": config.output_format.as_json(), "voice": config.voice or DEFAULT_VOICE}
    return {
        "output_modalities": options.output_modalities or (["audio"] if config.spoken else ["text"]),
        "max_output_tokens": options.max_output_tokens or config.max_tokens,
        "audio": {"output": output},
        "metadata": options.metadata,
    }


def _response_json(response: _Response, status: str, reason: str | None = None) -> dict[str, Any]:
    details: dict[str, Any] | None = None
    if status == "failed":
        details = {
            "type": status,
            "error": {"type": "server_error", "code": "provider_error", "message": reason},
        }
    elif status in ("cancelled", "incomplete"):
        details = {"type": status, "reason": reason}
    return {
        "object": "realtime.response",
        "id": response.response_id,
        "status": status,
        "status_details": details,
        "output": response.outputs,
        "usage": None,
        **response.about,
    }
