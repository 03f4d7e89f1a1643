"""Tells the agent's author, and nobody else, what their function raised: with its line and what to do.

The caller and the model never see it. The message leaves out the function's arguments: a log holds no words.
"""

import logging
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

AUTHOR_LOG = "repartee.agent.author"
"""The logger of faults in authors' functions: `repartee up` shows its lines ..."""

TRACE_MARK = "  ┆ "
"""... and those of the traceback under each, which begin like this."""

LEFT_OUT = "‹…›"
MOST_CHARS = 600
MOST_FRAMES = 12
SHORTEST_SECRET = 3
SHORTEST_WORD = 4
"""Words of a longer text are left out by themselves, too, if they have so many letters."""

_WORD = re.compile(rf"\w{{{SHORTEST_WORD},}}")

_log = logging.getLogger(AUTHOR_LOG)
_PACKAGE = str(Path(__file__).parents[1])


@dataclass(frozen=True, slots=True)
class AuthorTrouble:
    """``what`` failed (``tool lookup``, ``on_call_start``), with an exception of this class, at this place
    (``file:line``), with this message; ``trace`` are the traceback's lines."""

    what: str
    error: str
    place: str
    message: str
    trace: tuple[str, ...]


def trouble_of(
    what: str, error: BaseException, given: Iterable[object] = (), declared_at: str = ""
) -> AuthorTrouble:
    """What has failed, without what it was ``given``. ``declared_at``: where the function is, if no line is known."""
    secrets = _Secrets(_texts(given))
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_ours(frame.filename)]
    place = f"{_shown(own[-1].filename)}:{own[-1].lineno}" if own else declared_at or "an unknown place"
    trace = [f"{_shown(frame.filename)}:{frame.lineno} in {frame.name}: {frame.line}" for frame in own]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        trace.insert(0, f"{type(cause).__name__}: {secrets.left_out_of(str(cause))}, then")
    message = secrets.left_out_of(" ".join(str(error).split()))
    return AuthorTrouble(what, type(error).__name__, place, message, tuple(trace[-MOST_FRAMES:]))


class Noting(Protocol):
    """The call in which it happened."""

    @property
    def call_id(self) -> str:
        """Unique."""

    @property
    def hidden(self) -> Iterable[str]:
        """What is secret in it."""

    def failed(self, trouble: AuthorTrouble) -> None:
        """For those who watch calls."""


def note_trouble(
    call: Noting,
    what: str,
    error: BaseException,
    remedy: str,
    *,
    given: Iterable[object] = (),
    declared_at: str = "",
) -> None:
    """Tell the author in the log, and those who watch calls. ``remedy`` is what to do, a sentence."""
    trouble = trouble_of(what, error, [*given, *call.hidden], declared_at)
    told = f": {trouble.message}" if trouble.message else ""
    traced = "".join(f"\n{TRACE_MARK}{line}" for line in trouble.trace)
    where = f"{trouble.error} at {trouble.place}{told}"
    _log.warning("%s failed in call %s: %s; going on. %s%s", what, call.call_id, where, remedy, traced)
    call.failed(trouble)


class _Secrets:
    """Texts that a message must not hold, whole or word by word."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = sorted(texts, key=len, reverse=True)
        self._words = {word.casefold() for text in self._texts for word in _WORD.findall(text)}

    def left_out_of(self, message: str) -> str:
        """The message without them, cut to a length for a log."""
        for secret in self._texts:
            message = message.replace(secret, LEFT_OUT)
        text = _WORD.sub(lambda found: LEFT_OUT if found[0].casefold() in self._words else found[0], message)
        return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}…"


def _texts(values: Iterable[object]) -> Iterator[str]:
    """All texts and numbers in what was given, as they would stand in a message."""
    for value in values:
        match value:
            case None | bool():
                pass
            case str() | int() | float():
                text = str(value)
                if len(text) >= SHORTEST_SECRET:
                    yield text
            case Mapping():
                yield from _texts(value.values())
            case list() | tuple() | set() | frozenset():
                yield from _texts(value)
            case _:
                try:
                    yield from _texts([msgspec.to_builtins(value)])
                except (TypeError, ValueError, RecursionError):
                    yield str(value)


def _is_ours(file: str) -> bool:
    return file.startswith(_PACKAGE) or "asyncio" in Path(file).parts


def _shown(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
