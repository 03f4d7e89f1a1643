"""Cuts what chat servers stream, in all its shapes, into events, and puts a reply together from them. Pure.

Servers that call themselves compatible end lines with CR alone, leave out the last line's end, the ``[DONE]`` or
the reason, send fields that are null, of another type or new, or answer with one whole JSON document. This module
understands whatever it can and leaves out the rest, except for a fault that the server reports and for what is no
JSON at all.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from repartee.providers.interfaces import Finished, ReplyPart, TextDelta
from repartee.providers.tool_call_pieces import ToolCallPieces
from repartee.turn.usage import TokenUsage
from repartee.wire import outside_json

DONE = b"[DONE]"

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""One event, or one whole answer. A server that sends more is broken."""

_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")

REASONS = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
"""Servers' reasons for an end, in OpenAI's words."""


class BrokenAnswer(Exception):
    """The server reports a fault within its answer, or sends something that is no answer; ``word`` is its own name
    for the fault."""

    def __init__(self, said: str, word: str | None = None) -> None:
        super().__init__(said)
        self.word = word


class EventStream:
    """Cuts a body into the ``data`` of its events, each a line; a body that is one JSON document is one event.

    A document that is spread over several ``data`` lines is put together.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._whole = False
        self._after_cr = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The ``data`` that is complete with this piece; an empty one where an event ends. Raises BrokenAnswer for an
        event that never ends."""
        if self._after_cr:
            piece = piece.removeprefix(b"\n")
        self._after_cr = piece.endswith(b"\r")
        self._rest += piece
        if len(self._rest) > MAX_EVENT_BYTES:
            raise BrokenAnswer("an event of it is endless")
        if not self._begun and not self._begin():
            return []
        if self._whole:
            return []
        *lines, self._rest = _LINE_END.split(self._rest)
        events = [data for line in lines if (data := _data_of(line)) or not line]
        if _data_of(self._rest) == DONE:  # nothing follows it, perhaps not even the line's end
            self._rest = b""
            events.append(DONE)
        return events

    def finish(self) -> list[bytes]:
        """The body is over: what was not complete is now."""
        rest, self._rest = self._rest, b""
        if self._whole:
            return [rest]
        return [data] if (data := _data_of(rest)) else []

    def _begin(self) -> bool:
        """Look at the first character: whether it has come."""
        if _MARK.startswith(self._rest):
            return False
        self._rest = self._rest.removeprefix(_MARK)
        first = self._rest.lstrip()[:1]
        if not first:
            return False
        self._begun, self._whole = True, first == b"{"
        return True


def _data_of(line: bytes) -> bytes:
    return line[5:].strip() if line.startswith(b"data:") else b""


class _Choice(msgspec.Struct):
    delta: Any = None
    message: Any = None
    text: Any = None
    finish_reason: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: Any = None
    usage: Any = None
    x_groq: Any = None


CHUNK = outside_json.Decoder[_Chunk](_Chunk)
_ANYTHING = outside_json.Decoder[Any](Any)


class StreamedReply:
    """One answer being put together. ``finished``: its end has come. ``counted``: its server may send behind the end
    what the answer has used, which is ``usage`` once it has come."""

    def __init__(self, *, counted: bool = False) -> None:
        self.usage: TokenUsage | None = None
        self._counted = counted
        self._calls = ToolCallPieces()
        self._held = b""
        self._begun = False
        self._reason = "stop"
        self.finished = False
        self.progress = 0
        """How many pieces have brought words, thoughts or a part of a call: what only says that it lives does not."""

    def take(self, data: bytes) -> list[ReplyPart]:
        """What an event's data brings; empty where an event ends. Past the end nothing comes but the usage, once.
        Raises BrokenAnswer."""
        if self.finished:
            return self._take_late(data)
        if data == DONE:
            self._counted = False
            return self._finish()
        if not data:
            self._refuse_held()
            return []
        document = self._held + data
        try:
            chunk = self._read(document)
        except outside_json.TooDeep as error:
            raise BrokenAnswer(f"an event of it cannot be read: {error}") from error
        except msgspec.DecodeError:  # perhaps a document over several lines
            self._held = document
            if len(document) > MAX_EVENT_BYTES:
                raise BrokenAnswer("an event of it is endless") from None
            return []
        self._held = b""
        if chunk.error:
            raise _fault(chunk.error)
        self.usage = _usage_in(chunk) or self.usage
        parts: list[ReplyPart] = []
        for choice in (chunk.choices or ())[:1]:
            parts += self._take_choice(choice)
        return parts

    def end(self) -> list[ReplyPart]:
        """The body is over. Raises BrokenAnswer if nothing of an answer was in it."""
        if self.finished:
            return []
        self._refuse_held()
        if not self._begun:
            raise BrokenAnswer("it ended before it had begun")
        self._counted = False
        return self._finish()

    def _refuse_held(self) -> None:
        if self._held:
            raise BrokenAnswer(f"an event of it cannot be read: {self._held[:80]!r}")

    def _finish(self) -> list[ReplyPart]:
        """The tool calls, now that they are complete, and the end."""
        self.finished = True
        calls = self._calls.complete()
        known: list[ReplyPart] = [self.usage] if self.usage else []
        end = Finished("tool_calls" if calls else self._reason, self._counted and not known)
        return [*calls, end, *known]

    def _take_late(self, data: bytes) -> list[ReplyPart]:
        """Behind the end: what was used. All else there is nobody's any more."""
        if self.usage or not data or data == DONE:
            return []
        try:
            self.usage = _usage_in(self._read(data))
        except (outside_json.TooDeep, msgspec.MsgspecError):
            return []
        return [self.usage] if self.usage else []

    def _read(self, data: bytes) -> _Chunk:
        """The document; of one of another shape than OpenAI's, what can be understood. Raises msgspec.DecodeError."""
        try:
            return CHUNK.decode(data)
        except msgspec.ValidationError:
            document = _ANYTHING.decode(data)
        except outside_json.TooDeep:
            raise
        except msgspec.DecodeError:  # JSON to others, perhaps: half an emoji, a NaN
            document = _ANYTHING.decode(outside_json.mended(data))
        if not isinstance(document, dict):
            return _Chunk()
        choices = document.get("choices")
        kept = [
            _Choice(
                choice.get("delta"), choice.get("message"), choice.get("text"), choice.get("finish_reason")
            )
            for choice in (choices if isinstance(choices, list) else ())
            if isinstance(choice, dict)
        ]
        return _Chunk(kept, document.get("error"), document.get("usage"), document.get("x_groq"))

    def _take_choice(self, choice: _Choice) -> list[ReplyPart]:
        parts: list[ReplyPart] = []
        self._begun = True
        delta = choice.delta if isinstance(choice.delta, dict) else choice.message
        if isinstance(delta, dict):
            self.progress += any(value for name, value in delta.items() if name != "role")
            if text := _text_of(delta):
                parts.append(TextDelta(text))
            self._take_calls(delta)
        elif isinstance(choice.text, str) and choice.text:
            self.progress += 1
            parts.append(TextDelta(choice.text))
        return parts + self._take_reason(choice.finish_reason, alone=not parts)

    def _take_reason(self, reason: object, *, alone: bool) -> list[ReplyPart]:
        """A reason ends the answer if it is a known one and no text comes with it.

        Some servers send "", a word of their own or even "stop" with every piece: there, the answer is over when
        the body or ``[DONE]`` says so.
        """
        if not isinstance(reason, str) or not reason:
            return []
        self._reason = REASONS.get(reason, "stop")
        return self._finish() if alone and reason in REASONS else []

    def _take_calls(self, delta: dict[str, Any]) -> None:
        thoughts = delta.get("reasoning_content")
        if isinstance(thoughts, str) and thoughts:
            self._calls.think(thoughts)
        if isinstance(function := delta.get("function_call"), dict):
            self._take_function(0, None, function, None)
        pieces = delta.get("tool_calls")
        for piece in pieces if isinstance(pieces, list) else ():
            if not isinstance(piece, dict):
                continue
            function, extra = piece.get("function"), piece.get("extra_content")
            self._take_function(
                index if isinstance(index := piece.get("index"), int) else None,
                _id_of(piece.get("id")),
                function if isinstance(function, dict) else {},
                {"extra_content": extra} if extra else None,
            )

    def _take_function(
        self, index: int | None, call_id: str | None, function: dict[str, Any], extra: dict[str, Any] | None
    ) -> None:
        name, arguments = function.get("name"), function.get("arguments")
        self._calls.take(
            index,
            call_id,
            name if isinstance(name, str) and name else None,
            arguments if isinstance(arguments, str | dict) else None,
            extra,
        )


def _usage_in(chunk: _Chunk) -> TokenUsage | None:
    """What the server says the answer has used so far, if it says so here."""
    groq = chunk.x_groq.get("usage") if isinstance(chunk.x_groq, dict) else None
    told = chunk.usage if isinstance(chunk.usage, dict) else groq
    if not isinstance(told, dict):
        return None
    details = told.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    usage = TokenUsage(
        _number(told.get("prompt_tokens")), _number(told.get("completion_tokens")), _number(cached)
    )
    return usage if usage.input_tokens or usage.output_tokens else None


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _id_of(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and value not in ("", None) else None


def _text_of(delta: dict[str, Any]) -> str:
    content = delta.get("content")
    if isinstance(content, list):
        content = "".join(_texts_in(content))
    refusal = delta.get("refusal")
    return content if isinstance(content, str) and content else refusal if isinstance(refusal, str) else ""


def _texts_in(parts: list[Any]) -> Iterator[str]:
    for part in parts:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            yield text


def _fault(error: object) -> BrokenAnswer:
    """OpenAI's object, or the sentence that others send in its place."""
    if not isinstance(error, dict):
        return BrokenAnswer(str(error))
    word = error.get("code") or error.get("type")
    return BrokenAnswer(str(error.get("message") or word or error), None if word is None else str(word))
