"""Collects what is wrong with a user's agent, and where, and reports it all at once."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from repartee.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a user's file."""

    file: str
    line: int

    def __str__(self) -> str:
        path = Path(self.file)
        if path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        return f"{path}:{self.line}"


@dataclass(frozen=True, slots=True)
class AgentFault:
    """One thing to fix: where it is, and a sentence that says what to do."""

    place: Place
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


def place_of(function: Callable[..., Any]) -> Place:
    """Where a function is defined (its decorator's line, if it has one)."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return Place(code.co_filename, code.co_firstlineno) if code else Place("<unknown>", 0)


def place_of_call(frame: FrameType | None) -> Place:
    """The line that a frame is at."""
    return Place(frame.f_code.co_filename, frame.f_lineno) if frame else Place("<unknown>", 0)


def refuse(faults: Sequence[AgentFault]) -> None:
    """Raises ConfigurationError that names all faults, if there are any."""
    if not faults:
        return
    ordered = sorted(faults, key=lambda fault: (fault.place.file, fault.place.line))
    count = "a fault" if len(ordered) == 1 else f"{len(ordered)} faults"
    raise ConfigurationError("\n  ".join([f"The agent has {count}:", *map(str, ordered)]))
