"""The one reader of JSON that comes from outside: size and nesting are bounded before anything parses.

A parser descends with the document. On CPython a deep one is a RecursionError; in a Worker it is fatal: the isolate
aborts, and every call in it drops. Pure.
"""

import json
import re
from typing import Any, NoReturn

MAX_LEVELS = 64
# A string, or the rest of a document whose last string is not closed. JSON's parsers see the same strings up to the
# first fault, where they stop.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*+"?', re.DOTALL)
_BRACKETS = b"[]{}"
_EMPTY = re.compile(rb"\[\]|\{\}")
_NO_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))


class BadJson(ValueError):
    """The document is too large, too deep or no JSON; the message says which, for the one who sent it."""


def read(data: str | bytes | bytearray, *, max_bytes: int, max_levels: int = MAX_LEVELS) -> Any:
    """The value of a document in UTF-8. Raises BadJson, before parsing if it is longer or deeper than allowed."""
    try:
        raw = data.encode() if isinstance(data, str) else bytes(data)
        if len(raw) > max_bytes:
            raise BadJson(f"it is larger than {max_bytes} bytes")
        check_levels(raw, max_levels)
        # As text: from bytes, json would also guess UTF-16, in which quotes and brackets are not where we looked.
        return json.loads(raw.decode(), parse_constant=_refuse)
    except BadJson:
        raise
    except ValueError:
        raise BadJson("it is not JSON") from None


def check_levels(data: bytes, max_levels: int = MAX_LEVELS) -> None:
    """Raises BadJson if arrays and objects stand in each other more than ``max_levels`` deep. Linear, in C."""
    if data.count(b"[") + data.count(b"{") <= max_levels:
        return
    left, levels = _STRING.sub(b"", data).translate(None, _NO_BRACKETS), 0
    while levels <= max_levels:
        inner = _EMPTY.sub(b"", left)
        if inner == left:
            break
        left, levels = inner, levels + 1
    # Each round takes at least the innermost level; what is never closed counts as a level each.
    if levels + left.count(b"[") + left.count(b"{") > max_levels:
        raise BadJson(f"it is nested deeper than {max_levels} levels")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
