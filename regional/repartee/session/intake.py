"""What the client sends, taken to where it belongs: audio to speech recognition, everything else to the core.

Raises ClientProtocolError for what the conversation does not allow; the call tells the client and goes on.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from repartee.errors import ClientProtocolError, ReplyInProgress
from repartee.turn import events as e
from repartee.turn.history import FunctionCall, FunctionOutput, Item, Message, Role
from repartee.turn.tool_calls import MAX_CALL_ID_CHARS
from repartee.wire import client_events as w
from repartee.wire.realtime_objects import reply_id_of, response_id
from repartee.wire.settings_patch import SessionPatch
from repartee.wire.tool_schema import checked_name

_Given = TypeVar("_Given", bound=str)

NOT_ACTIVE = "Cancellation failed: no active response found"
"""OpenAI's words, which clients match on."""

_UNKNOWN_ITEM: dict[type[w.ClientEvent], str] = {
    w.RetrieveItem: "item_retrieve_invalid_item_id",
    w.DeleteItem: "item_delete_invalid_item_id",
    w.TruncateItem: "item_truncate_invalid_item_id",
}
"""OpenAI's codes for an event about an item that is not there; clients act on them."""


class Intake:
    """The client's side of one call, inwards.

    ``request`` takes events to the turn core and raises what that refuses; ``hear`` takes audio; ``configure``
    applies a change of settings, ``check`` looks at a response's own. Both raise ClientProtocolError.
    """

    def __init__(
        self,
        call_id: str,
        *,
        request: Callable[[e.Event], None],
        hear: Callable[[bytes], None],
        configure: Callable[[SessionPatch], None],
        check: Callable[[w.ResponseParams], w.ResponseParams],
    ) -> None:
        self._call_id = call_id
        self._request = request
        self._hear = hear
        self._configure = configure
        self._check = check
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
                self._ask(self._check(params or w.ResponseParams()))
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
        """Audio in the session's input format. Raises ClientProtocolError if too much waits already."""
        if audio:
            self._hear(audio)
            self._uncommitted = True

    def _commit(self) -> None:
        if not self._uncommitted:
            raise ClientProtocolError(
                "There is no audio to commit: send input_audio_buffer.append first.",
                code="input_audio_buffer_commit_empty",
            )
        self._uncommitted = False
        self._request(e.TurnCommitted())

    def _ask(self, params: w.ResponseParams) -> None:
        if params.conversation == "none":
            given = params.input
            context = None if given is None else [_input_item(new, place) for place, new in enumerate(given)]
            self._request(e.AsideRequested(_reply_requested(params), context))
            return
        try:
            self._request(_reply_requested(params))
        except ReplyInProgress as error:
            active = response_id(self._call_id, error.reply_id)
            raise ClientProtocolError(
                f"Conversation already has an active response in progress: {active}. Wait until the response is "
                "finished before creating a new one.",
                code=error.code,
            ) from None

    def _cancel(self, event: w.CancelResponse | w.ClearOutput) -> None:
        reply_id = None
        if isinstance(event, w.CancelResponse) and event.response_id is not None:
            reply_id = reply_id_of(self._call_id, event.response_id)
            if reply_id is None:
                raise ClientProtocolError(NOT_ACTIVE, code="response_cancel_not_active", param="response_id")
        try:
            self._request(e.ReplyCancelled(reply_id))
        except ClientProtocolError:
            if isinstance(event, w.CancelResponse):  # there may be nothing to clear
                raise


def _reply_requested(params: w.ResponseParams) -> e.ReplyRequested:
    modalities = params.output_modalities
    spoken = None if modalities is None else modalities == ["audio"]
    names = None if params.tools is None else frozenset(tool.name for tool in params.tools)
    return e.ReplyRequested(spoken=spoken, options=params, client_tools=names)


def _input_item(new: w.NewItem, place: int) -> Item | str:
    """What a response is to answer: an item of its own, or the id of one of the conversation's."""
    try:
        return (
            _given(new.id, "id")
            if new.type == "item_reference"
            else _checked_item(new, new.id or f"in_{place}")
        )
    except ClientProtocolError as error:
        error.param = (error.param or "item").replace("item", f"response.input[{place}]", 1)
        raise


def _checked_item(new: w.NewItem, item_id: str) -> Item:
    """Raises ClientProtocolError if something is missing."""
    if new.type == "function_call":
        name = _given(new.name, "name")
        checked_name(name, "item.name")
        return FunctionCall(item_id, _checked_call_id(new), name, new.arguments or "{}")
    if new.type == "function_call_output":
        return FunctionOutput(item_id, _checked_call_id(new), _given(new.output, "output"))
    if new.type == "item_reference":
        raise ClientProtocolError("An item that is there cannot be created again.", param="item.type")
    role: Role = _given(new.role, "role")
    for place, part in enumerate(new.content):
        if part.type == "input_image":
            raise ClientProtocolError(
                "Images are not supported.", code="unsupported_parameter", param=f"item.content[{place}].type"
            )
    parts = [part.text if part.text is not None else part.transcript for part in new.content]
    text = " ".join(part for part in parts if part)
    if not text:
        raise ClientProtocolError(
            'A message needs text: give content such as [{"type": "input_text", "text": …}]; audio goes through '
            "input_audio_buffer.append.",
            code="missing_required_parameter",
            param="item.content",
        )
    return Message(item_id, role, text, spoken=role == "user" and _is_audio(new.content))


def _is_audio(content: Sequence[w.Content]) -> bool:
    return any(part.type == "input_audio" for part in content)


def _checked_call_id(new: w.NewItem) -> str:
    call_id = _given(new.call_id, "call_id")
    if not 0 < len(call_id) <= MAX_CALL_ID_CHARS:
        raise ClientProtocolError(
            f"Invalid 'item.call_id': expected a string with 1 to {MAX_CALL_ID_CHARS} characters, but got "
            f"{len(call_id)}.",
            code="string_above_max_length" if call_id else "invalid_value",
            param="item.call_id",
        )
    return call_id


def _given(value: _Given | None, name: str) -> _Given:
    if value is None:
        raise ClientProtocolError(
            f"The item has no {name!r}.", code="missing_required_parameter", param=f"item.{name}"
        )
    return value
