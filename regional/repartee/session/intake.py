"""What the client sends, taken to where it belongs: audio to speech recognition, everything else to the core.

Raises ClientProtocolError for what the conversation does not allow; the call tells the client and goes on.
"""

from collections.abc import Callable
from typing import TypeVar

from repartee.errors import ClientProtocolError
from repartee.turn import events as e
from repartee.turn.history import FunctionCall, FunctionOutput, Item, Message, Role
from repartee.wire import client_events as w
from repartee.wire.realtime_objects import reply_id_of
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

    ``request`` takes events to the turn core and raises what that refuses; ``hear`` takes audio; ``configure``
    applies a change of settings.
    """

    def __init__(
        self,
        call_id: str,
        *,
        request: Callable[[e.Event], None],
        hear: Callable[[bytes], None],
        configure: Callable[[w.SessionPatch], None],
    ) -> None:
        self._call_id = call_id
        self._request = request
        self._hear = hear
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
                self._request(e.AudioCleared())
            case w.CreateResponse(response=params):
                self._request(_reply_requested(checked_response(params or w.ResponseParams())))
            case w.CancelResponse() | w.ClearOutput():
                self._cancel(event)
            case w.TruncateItem(item_id=item_id, audio_end_ms=audio_end_ms):
                self._request(e.Truncated(item_id, audio_end_ms))
            case w.CreateItem(item=new, previous_item_id=after):
                self._request(e.ItemCreated(_checked_item(new, new.id or ""), after))
            case w.RetrieveItem(item_id=item_id):
                self._request(e.ItemRetrieved(item_id))
            case w.DeleteItem(item_id=item_id):
                self._request(e.ItemDeleted(item_id))

    def take_audio(self, audio: bytes) -> None:
        """Audio in the session's input format."""
        if audio:
            self._uncommitted = True
            self._hear(audio)

    def _commit(self) -> None:
        if not self._uncommitted:
            raise ClientProtocolError(
                "There is no audio to commit: send input_audio_buffer.append first.",
                code="input_audio_buffer_commit_empty",
            )
        self._uncommitted = False
        self._request(e.TurnCommitted())

    def _cancel(self, event: w.CancelResponse | w.ClearOutput) -> None:
        reply_id = None
        if isinstance(event, w.CancelResponse) and event.response_id is not None:
            reply_id = reply_id_of(self._call_id, event.response_id)
            if reply_id is None:
                raise ClientProtocolError(
                    f"There is no response {event.response_id!r} in progress.",
                    code="response_cancel_not_active",
                    param="response_id",
                )
        self._request(e.ReplyCancelled(reply_id))


def _reply_requested(params: w.ResponseParams) -> e.ReplyRequested:
    modalities = params.output_modalities
    spoken = None if modalities is None else modalities == ["audio"]
    names = None if params.tools is None else frozenset(tool.name for tool in params.tools)
    return e.ReplyRequested(spoken=spoken, options=params, client_tools=names)


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
