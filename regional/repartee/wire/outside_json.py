"""The one reader of JSON that comes from outside: its nesting is bounded before anything parses it.

A parser descends with the document, and on CPython a deep one is a RecursionError. The edge's bound, measured in
another way: a region reads documents of megabytes, between two frames of other callers' audio. Pure.
"""

import json
from typing import Any, Generic, TypeVar, cast

import msgspec
import numpy as np

from repartee_edge.bounded_json import MAX_LEVELS

T = TypeVar("T")
_QUOTE = ord('"')
_MARKS = b'[]{}"'
_NO_MARKS = bytes(set(range(256)) - set(_MARKS))


class TooDeep(msgspec.DecodeError):
    """Arrays and objects stand in each other more than MAX_LEVELS deep; the message is for who sent the document."""


class Decoder(Generic[T]):
    """msgspec's, behind the bound."""

    def __init__(self, type_: Any) -> None:
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type_)

    def decode(self, data: str | bytes) -> T:
        """The value of a document. Raises msgspec.DecodeError; TooDeep, which is one, before parsing."""
        # Checked here as well: nearly all that comes is a piece of audio, one object without a list.
        if isinstance(data, str):
            if data.find("{", 1) >= 0 or "[" in data:
                check_levels(data)
        elif data.find(b"{", 1) >= 0 or b"[" in data:
            check_levels(data)
        try:
            return self._decoder.decode(data)
        except UnicodeDecodeError as error:
            raise msgspec.DecodeError(f"it is not UTF-8: {error.reason}") from error


def decode(data: str | bytes | msgspec.Raw, type_: Any = Any) -> Any:
    """The value of a document that is read seldom. Raises as Decoder does."""
    document = data if isinstance(data, str) else bytes(data)
    check_levels(document)
    try:
        return msgspec.json.decode(document, type=type_)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"it is not UTF-8: {error.reason}") from error


def mended(data: bytes) -> bytes:
    """A document that other readers of JSON understand, as one for this one: bytes that are no UTF-8 are replaced,
    halves of a character (a surrogate without its other) left out, and NaN and Infinity are null.

    For what has been refused: it takes a while. Raises msgspec.DecodeError for what is no JSON to anybody; TooDeep.
    """
    check_levels(data)
    try:
        read = json.loads(data.decode(errors="replace"), parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise msgspec.DecodeError(f"it is no JSON: {error}") from error
    return json.dumps(read, ensure_ascii=False).encode(errors="ignore")


def check_levels(data: str | bytes) -> None:
    """Raises TooDeep if arrays and objects stand in each other more than MAX_LEVELS deep.

    Linear, in C: a frame of audio costs two searches for a byte, a megabyte of brackets milliseconds.
    """
    if isinstance(data, str):
        if data.find("{", 1) < 0 and "[" not in data:  # audio: one object
            return
        data = data.encode("utf-8", "surrogatepass")
    if data.count(b"[") + data.count(b"{") > MAX_LEVELS and _levels(data) > MAX_LEVELS:
        raise TooDeep(f"JSON may be nested {MAX_LEVELS} levels deep, and this is nested deeper")


def _levels(data: bytes) -> int:
    """How deep a document is nested, as far as it is JSON: where it is not, parsers stop."""
    # Backslashes stand in strings alone, and each takes the next character with it.
    bare = data.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NO_MARKS)
    marks = np.frombuffer(bare, np.uint8)
    in_string = np.bitwise_xor.accumulate(marks == _QUOTE)
    # Of both kinds of brackets the opening one has bit 2 unset.
    steps = np.where(marks & 4, -1, 1).astype(np.int8)
    steps[in_string | (marks == _QUOTE)] = 0
    return cast(int, np.cumsum(steps, dtype=np.int32).max(initial=0))
