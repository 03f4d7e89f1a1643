"""The conversation so far, as the caller experienced it.

Holds what was said and done, in order, and gives it in a language model's terms. An answer that was cut short
counts only as far as it was heard. Pure data: no time, no wire format.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from repartee.errors import ClientProtocolError
from repartee.turn.events import SpokenWord

Role = Literal["user", "assistant", "system"]

STILL_RUNNING = "The tool is still running; its result is not known yet."
"""What a model is told of a tool call whose result has not come: its protocol wants one for every call."""


@dataclass(slots=True)
class Message:
    """Something said or written.

    ``words`` are the times of an answer's words within its audio, where the voice gave them; ``audio_ms`` is the
    length of that audio; ``heard_ms`` how much of it the caller heard (None: all of it, or it was not spoken).
    """

    item_id: str
    role: Role
    text: str
    spoken: bool = False
    words: list[SpokenWord] = field(default_factory=list)
    audio_ms: float = 0.0
    heard_ms: float | None = None

    @property
    def heard_text(self) -> str:
        """The part of the text that the caller heard."""
        if self.heard_ms is None:
            return self.text
        return heard_part(self.text, self.words, self.audio_ms, self.heard_ms)


@dataclass(slots=True)
class FunctionCall:
    """The model asked for a tool."""

    item_id: str
    call_id: str
    name: str
    arguments: str


@dataclass(slots=True)
class FunctionOutput:
    """What the tool gave."""

    item_id: str
    call_id: str
    output: str


Item = Message | FunctionCall | FunctionOutput


class History:
    """The items of one conversation, in order."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"<History: {len(self._items)} items>"

    def add(self, item: Item, *, after: str | None = None) -> str | None:
        """Insert an item at the end, at the start (``after="root"``) or after another.

        Returns the id of the item before it. Raises ClientProtocolError if that id is unknown or the item's own
        id is taken.
        """
        if any(known.item_id == item.item_id for known in self._items):
            raise ClientProtocolError(f"There is already an item {item.item_id!r}.", param="item.id")
        if after is None:
            place = len(self._items)
        elif after == "root":
            place = 0
        else:
            place = self._index(after, param="previous_item_id") + 1
        self._items.insert(place, item)
        return self._items[place - 1].item_id if place else None

    def get(self, item_id: str) -> Item:
        """Raises ClientProtocolError if there is no such item."""
        return self._items[self._index(item_id, param="item_id")]

    def remove(self, item_id: str) -> None:
        """Raises ClientProtocolError if there is no such item."""
        del self._items[self._index(item_id, param="item_id")]

    def truncate(self, item_id: str, audio_end_ms: float) -> Message:
        """Record that only this much of a spoken answer was heard. Raises ClientProtocolError."""
        item = self.get(item_id)
        if not isinstance(item, Message) or item.role != "assistant" or not item.spoken:
            raise ClientProtocolError(
                "Only a spoken answer of the assistant can be truncated.", param="item_id"
            )
        if audio_end_ms > item.audio_ms + 1:
            raise ClientProtocolError(
                f"Audio content of {item.audio_ms:.0f} ms is already shorter than {audio_end_ms:.0f} ms.",
                param="audio_end_ms",
            )
        item.heard_ms = audio_end_ms
        return item

    def messages(self, *more: Message) -> list[dict[str, Any]]:
        """The conversation in OpenAI's chat form, with ``more`` at the end; what was never heard is left out."""
        outputs = {item.call_id: item.output for item in self._items if isinstance(item, FunctionOutput)}
        messages: list[dict[str, Any]] = []
        for item in [*self._items, *more]:
            if isinstance(item, Message):
                if text := item.heard_text:
                    messages.append({"role": item.role, "content": text})
            elif isinstance(item, FunctionCall):
                _append_call(messages, item, outputs.get(item.call_id, STILL_RUNNING))
        return messages

    def _index(self, item_id: str, *, param: str) -> int:
        for index, item in enumerate(self._items):
            if item.item_id == item_id:
                return index
        raise ClientProtocolError(
            f"There is no item {item_id!r} in this conversation.", code="item_not_found", param=param
        )


def _append_call(messages: list[dict[str, Any]], call: FunctionCall, output: str) -> None:
    """Add a tool call and its result; each in an assistant message of its own."""
    entry = {
        "id": call.call_id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    result = {"role": "tool", "tool_call_id": call.call_id, "content": output}
    messages.append({"role": "assistant", "content": None, "tool_calls": [entry]})
    messages.append(result)


def heard_part(text: str, words: Sequence[SpokenWord], audio_ms: float, heard_ms: float) -> str:
    """The part of ``text`` that was heard when ``heard_ms`` of its ``audio_ms`` had been played.

    With word times: the words that had ended. Without: the same share of the text, back to the last whole word.
    """
    if audio_ms and heard_ms >= audio_ms:
        return text
    if not words:
        share = text[: int(len(text) * heard_ms / audio_ms)] if audio_ms else ""
        if not share or text[len(share)].isspace():
            return share.rstrip()
        return share.rpartition(" ")[0].rstrip()
    place = 0
    for word in words:
        if word.end_ms > heard_ms:
            break
        found = text.find(word.text.strip(), place)
        if found >= 0:
            place = found + len(word.text.strip())
    # Punctuation belongs to the word before it.
    while place < len(text) and not text[place].isspace() and not text[place].isalnum():
        place += 1
    return text[:place] if place else ""
