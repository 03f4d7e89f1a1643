"""What the client sends, taken to where it belongs: audio to the ears, turns to the core, items to the history.

Raises ClientProtocolError for what the conversation does not allow; the call tells the client and goes on.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from repartee.errors import ClientProtocolError
from repartee.session.hearing import Hearing
from repartee.turn import events as e
from repartee.turn.history import FunctionCall, FunctionOutput, Item, Message, Role
from repartee.turn.machine import TurnMachine
from repartee.wire import client_events as w
from repartee.wire.announcer import Announcer, item_json
from repartee.wire.session_config import checked_response

_Given = TypeVar("_Given", bound=str)

_UNKNOWN_ITEM: dict[type[w.ClientEvent], str] = {
    w.RetrieveItem: "item_retrieve_invalid_item_id",
    w.DeleteItem: "item_delete_invalid_item_id",
    w.TruncateItem: "item_truncate_invalid_item_id",
}
"""OpenAI's codes for an event about an item that is not there; clients act on them."""


class Intake:
    """The client's side of one call, inwards.

    ``deliver`` takes events to the turn core; ``announce`` sends a server event; ``configure`` applies a change of
    settings.
    """

    def __init__(
        self,
        machine: TurnMachine,
        hearing: Hearing,
        announcer: Announcer,
        *,
        deliver: Callable[[e.Event], None],
        announce: Callable[[dict[str, Any]], None],
        configure: Callable[[w.SessionPatch], None],
    ) -> None:
        self._machine = machine
        self._hearing = hearing
        self._announcer = announcer
        self._deliver = deliver
        self._announce = announce
        self._configure = configure
        self._uncommitted = False

    def take(self, event: w.ClientEvent) -> None:
        """Carry out one event. Raises ClientProtocolError."""
        try:
            self._carry_out(event)
        except ClientProtocolError as error:
            if error.code == "item_not_found":
                error.code = _UNKNOWN_ITEM.get(type(event), error.code)
            raise

    def _carry_out(self, event: w.ClientEvent) -> None:
        match event:
            case w.SessionUpdate(session=patch):
                self._configure(patch)
            case w.CommitAudio():
                self._commit()
            case w.ClearAudio():
                self._uncommitted = False
                self._deliver(e.AudioCleared())
                self._announce(self._announcer.event("input_audio_buffer.cleared"))
            case w.CreateResponse(response=params):
                self._request(checked_response(params or w.ResponseParams()))
            case w.CancelResponse() | w.ClearOutput():
                self._cancel(event)
            case w.TruncateItem(item_id=item_id, audio_end_ms=audio_end_ms):
                self._deliver(e.Truncated(item_id, audio_end_ms))
            case w.CreateItem() | w.RetrieveItem() | w.DeleteItem():
                self._edit(event)

    def take_audio(self, audio: bytes) -> None:
        """Audio in the session's input format."""
        if audio:
            self._uncommitted = True
            self._hearing.feed(audio)

    def _request(self, params: w.ResponseParams) -> None:
        modalities = params.output_modalities
        spoken = None if modalities is None else modalities == ["audio"]
        self._deliver(e.ReplyRequested(spoken=spoken, options=params))

    def _commit(self) -> None:
        if not self._uncommitted:
            raise ClientProtocolError(
                "There is no audio to commit: send input_audio_buffer.append first.",
                code="input_audio_buffer_commit_empty",
            )
        self._uncommitted = False
        self._deliver(e.TurnCommitted())

    def _cancel(self, event: w.CancelResponse | w.ClearOutput) -> None:
        reply_id = None
        if isinstance(event, w.CancelResponse) and event.response_id is not None:
            reply_id = self._announcer.reply_of(event.response_id)
            if reply_id is None:
                raise ClientProtocolError(
                    f"There is no response {event.response_id!r} in progress.",
                    code="response_cancel_not_active",
                    param="response_id",
                )
        self._deliver(e.ReplyCancelled(reply_id))

    def _edit(self, event: w.CreateItem | w.RetrieveItem | w.DeleteItem) -> None:
        history, announcer = self._machine.history, self._announcer
        match event:
            case w.CreateItem(item=new, previous_item_id=after):
                item = _checked_item(new, new.id or self._machine.new_item_id())
                previous = history.add(item, after=after)
                for told in announcer.item_added(item, previous):
                    self._announce(told)
            case w.RetrieveItem(item_id=item_id):
                item = history.get(item_id)
                self._announce(announcer.event("conversation.item.retrieved", item=item_json(item)))
            case w.DeleteItem(item_id=item_id):
                history.remove(item_id)
                self._announce(announcer.event("conversation.item.deleted", item_id=item_id))


def _checked_item(new: w.NewItem, item_id: str) -> Item:
    """Raises ClientProtocolError if something is missing."""
    if new.type == "function_call":
        return FunctionCall(
            item_id, _given(new.call_id, "call_id"), _given(new.name, "name"), new.arguments or "{}"
        )
    if new.type == "function_call_output":
        return FunctionOutput(item_id, _given(new.call_id, "call_id"), _given(new.output, "output"))
    role: Role = _given(new.role, "role")
    parts = [part.text if part.text is not None else part.transcript for part in new.content]
    text = " ".join(part for part in parts if part)
    if not text:
        raise ClientProtocolError(
            'A message needs text: give content such as [{"type": "input_text", "text": …}]; audio goes through '
            "input_audio_buffer.append.",
            code="missing_required_parameter",
            param="item.content",
        )
    return Message(item_id, role, text)


def _given(value: _Given | None, name: str) -> _Given:
    if value is None:
        raise ClientProtocolError(
            f"The item has no {name!r}.", code="missing_required_parameter", param=f"item.{name}"
        )
    return value
