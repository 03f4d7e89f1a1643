"""The conversation so far, as the caller experienced it.

Holds what was said and done, in order, and presents it in a language model's terms. An answer that was cut short
counts only as far as the caller heard it. Pure data: no time, no wire format.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from repartee.errors import ClientProtocolError
from repartee.turn.chunking import is_unspaced
from repartee.turn.events import SpokenWord
from repartee.turn.item_list import Entry, HistoryLimits, ItemList, size_of

Role = Literal["user", "assistant", "system"]

HEARD_SLACK_MS = 1.0
"""Audio times nearer than this are equal: clients round them, and sums of floats differ."""

SPEECH_MS_PER_CHAR = 60.0
"""How long a character takes to say, about (150 words a minute): while audio is still being made, its whole length
is reckoned from its text."""

EARLIER = "What was said earlier in this call:"
"""Stands before a summary."""

STILL_RUNNING = "The tool is still running; its result is not known yet."
"""What a model reads of a tool call whose result has not come: its protocol wants one for every call."""


@dataclass(slots=True)
class Message:
    """Something said or written.

    ``spoken``: it is speech, the caller's or the agent's.
    ``words`` are the times of an answer's words within its audio, where the voice gave them; ``audio_ms`` is the
    length of that audio so far, ``audio_complete`` that this is all of it; ``heard_ms`` how much of it the caller
    heard (None: all of it, or it was not spoken), ``sound_ms`` where the last of it that can be heard ends (None: not
    known). A ``filler`` was said while a tool ran; models are not told of it,
    or they would take it for their answer. What was ``filtered`` by a model's server is not shown to it again.
    """

    item_id: str
    role: Role
    text: str
    spoken: bool = False
    words: list[SpokenWord] = field(default_factory=list)
    audio_ms: float = 0.0
    audio_complete: bool = False
    heard_ms: float | None = None
    sound_ms: float | None = None
    filler: bool = False
    filtered: bool = False

    @property
    def heard_text(self) -> str:
        """The part of the text that the caller heard."""
        sounding = self._sounding_text
        if self.heard_ms is None:
            return sounding
        audio_ms = self.audio_ms
        if not self.audio_complete:
            audio_ms = max(audio_ms + 2 * HEARD_SLACK_MS, len(self.text) * SPEECH_MS_PER_CHAR)
        heard = heard_part(self.text, self.words, audio_ms, self.heard_ms)
        return min(heard, sounding, key=len)

    @property
    def _sounding_text(self) -> str:
        """The text without the words that a voice has given times for, but no sound."""
        if self.sound_ms is None or not self.words or self.words[-1].start_ms < self.sound_ms:
            return self.text
        return heard_part(self.text, self.words, math.inf, self.sound_ms)


@dataclass(slots=True)
class FunctionCall:
    """The model asked for a tool, with JSON text that it may have got wrong.

    ``extra`` is what its server wants back with the call, beside its fields; ``reasoning`` the thoughts before it
    that it wants back, too. ``own``: the tool is the agent's own, and the client knows nothing of the item.
    """

    item_id: str
    call_id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] | None = None
    reasoning: str | None = None
    own: bool = False

    @property
    def object_arguments(self) -> str:
        """The arguments, or an empty object: some servers refuse a conversation in which there is anything else."""
        try:
            msgspec.json.decode(self.arguments, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return "{}"
        return self.arguments


@dataclass(slots=True)
class FunctionOutput:
    """What the tool gave. ``own``: as of its call."""

    item_id: str
    call_id: str
    output: str
    own: bool = False


Item = Message | FunctionCall | FunctionOutput


REMEASURED = 4
"""So many of the newest items are measured again when another is added: an answer grows while it is made."""


class History:
    """The items of one conversation, in order; the oldest turns are forgotten beyond the limits."""

    def __init__(self, limits: HistoryLimits | None = None) -> None:
        self._items: ItemList[Item] = ItemList(limits)
        self._forgotten: list[str] = []
        self.summary = ""
        """What the agent says of the part that a model is no longer shown."""

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return (entry.item for entry in self._items)

    def __repr__(self) -> str:
        return f"<History: {len(self._items)} items>"

    def add(self, item: Item, *, after: str | None = None) -> str | None:
        """Insert an item at the end, at the start (``after="root"``) or after another.

        Returns the id of the item before it that the client knows. Raises ClientProtocolError if ``after`` is
        unknown or the item's own id is taken.
        """
        if self._items.find(item.item_id):
            raise ClientProtocolError(
                f"Error adding item: an item with the id {item.item_id!r} exists already.",
                code="item_create_duplicate_item_id",
                param="item.id",
            )
        if isinstance(item, FunctionOutput):
            self._check_output(item.call_id)
        if after is None:
            return self.append(item)
        before = None if after == "root" else self._entry(after, param="previous_item_id")
        self._insert(item, before)
        return _known_before(before)

    def _check_output(self, call_id: str) -> None:
        """Raises ClientProtocolError unless the client owes this call a result."""
        call = self._items.call(call_id)
        if call is None or is_own(call.item):
            raise ClientProtocolError(
                f"Tool call ID {call_id!r} not found in conversation.",
                code="invalid_tool_call_id",
                param="item.call_id",
            )
        if self._items.is_answered(call_id):
            raise ClientProtocolError(
                f"Tool call ID {call_id!r} has been answered already.",
                code="invalid_tool_call_id",
                param="item.call_id",
            )

    def append(self, item: Item) -> str | None:
        """Add what has happened, at the end; never raises, even if a client has taken the item's id meanwhile.

        Returns the id of the item before it that the client knows.
        """
        before = self._items.last
        self._insert(item, before)
        return _known_before(before)

    def forgotten(self) -> list[str]:
        """The ids of the items that were forgotten since this was asked last."""
        forgotten, self._forgotten = self._forgotten, []
        return forgotten

    def holds_call(self, call_id: str) -> bool:
        """Whether a tool call of that id is in the history."""
        return self._items.holds_call(call_id)

    def get(self, item_id: str) -> Item:
        """Raises ClientProtocolError if there is no such item."""
        return self._entry(item_id, param="item_id").item

    def remove(self, item_id: str) -> None:
        """Raises ClientProtocolError if there is no such item."""
        self._items.remove(self._entry(item_id, param="item_id"))

    def truncate(self, item_id: str, audio_end_ms: float) -> Message:
        """Record that only this much of a spoken answer was heard. Raises ClientProtocolError."""
        item = self.get(item_id)
        if not isinstance(item, Message) or item.role != "assistant" or not item.spoken:
            raise ClientProtocolError(
                "Only a spoken answer of the assistant can be truncated.", param="item_id"
            )
        if not audio_end_ms >= 0:  # nor NaN
            raise ClientProtocolError("audio_end_ms cannot be negative.", param="audio_end_ms")
        if audio_end_ms > item.audio_ms + HEARD_SLACK_MS:
            raise ClientProtocolError(
                f"Audio content of {item.audio_ms:.0f} ms is already shorter than {audio_end_ms:.0f} ms.",
                param="audio_end_ms",
            )
        item.heard_ms = audio_end_ms
        return item

    def messages(self, *more: Item) -> list[dict[str, Any]]:
        """The conversation in OpenAI's chat form, with ``more`` at the end; what was never heard is left out."""
        items = [*self, *more]
        outputs = {item.call_id: item.output for item in items if isinstance(item, FunctionOutput)}
        messages: list[dict[str, Any]] = []
        if self.summary:
            messages.append({"role": "system", "content": f"{EARLIER}\n{self.summary}"})
        for item in items:
            if isinstance(item, Message):
                if not (item.filler or item.filtered) and (text := item.heard_text).strip():
                    messages.append({"role": item.role, "content": text})
            elif isinstance(item, FunctionCall):
                messages += call_messages(item, outputs.get(item.call_id, STILL_RUNNING))
        return messages

    def _insert(self, item: Item, before: Entry[Item] | None) -> None:
        self._measure_newest()
        self._items.insert(_entry_of(item), before)
        self._forgotten += self._items.trim()

    def _measure_newest(self) -> None:
        entry = self._items.last
        for _ in range(REMEASURED):
            if entry is None:
                return
            self._items.resize(entry, _size(entry.item))
            entry = entry.before

    def _entry(self, item_id: str, *, param: str) -> Entry[Item]:
        entry = self._items.find(item_id)
        if entry is None or is_own(entry.item):
            raise unknown_item(item_id, param)
        return entry


def unknown_item(item_id: str, param: str = "item_id") -> ClientProtocolError:
    """The client has named an item that there is not, as far as it knows."""
    return ClientProtocolError(
        f"There is no item {item_id!r} in this conversation.", code="item_not_found", param=param
    )


def is_own(item: Item) -> bool:
    """Whether the item is the agent's own affair: a call of a tool of its own, or that tool's result."""
    return not isinstance(item, Message) and item.own


def _known_before(entry: Entry[Item] | None) -> str | None:
    """The nearest item from here back that the client knows."""
    while entry is not None and is_own(entry.item):
        entry = entry.before
    return entry.item_id if entry else None


def _entry_of(item: Item) -> Entry[Item]:
    size = _size(item)
    match item:
        case FunctionCall():
            return Entry(item.item_id, item, "call", item.call_id, size)
        case FunctionOutput():
            return Entry(item.item_id, item, "output", item.call_id, size)
        case Message():
            return Entry(item.item_id, item, "turn" if item.role == "user" else "other", size=size)


def _size(item: Item) -> int:
    match item:
        case FunctionCall():
            return size_of(item.name, item.arguments)
        case FunctionOutput():
            return size_of(item.output)
        case Message():
            return size_of(item.text)


def call_messages(call: FunctionCall, output: str) -> list[dict[str, Any]]:
    """A tool call and its result in OpenAI's chat form; the call in an assistant message of its own."""
    entry = {
        **(call.extra or {}),
        "id": call.call_id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.object_arguments},
    }
    thoughts = {"reasoning_content": call.reasoning} if call.reasoning is not None else {}
    result = {"role": "tool", "tool_call_id": call.call_id, "content": output}
    return [{"role": "assistant", "content": None, **thoughts, "tool_calls": [entry]}, result]


def heard_part(text: str, words: Sequence[SpokenWord], audio_ms: float, heard_ms: float) -> str:
    """The part of ``text`` that was heard when ``heard_ms`` of its ``audio_ms`` had been played.

    With word times: the words that had ended. Without: the same share of the text, back to the last whole word.
    """
    if audio_ms and heard_ms >= audio_ms - HEARD_SLACK_MS:
        return text
    if not words:
        return text[: _word_end(text, int(len(text) * heard_ms / audio_ms))].rstrip() if audio_ms else ""
    place = 0
    for word in words:
        if word.end_ms > heard_ms + HEARD_SLACK_MS:
            break
        found = text.find(word.text.strip(), place)
        if found >= 0:
            place = found + len(word.text.strip())
    # Punctuation belongs to the word before it.
    while 0 < place < len(text) and not text[place].isspace() and not text[place].isalnum():
        place += 1
    return text[:place]


def _word_end(text: str, place: int) -> int:
    """The last place, not after this one, where no word is cut."""
    while place and not (text[place].isspace() or is_unspaced(text[place])):
        place -= 1
    return place
