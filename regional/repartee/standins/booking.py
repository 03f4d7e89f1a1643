"""Appointments: which step of a booking comes next, and its day and time as the tools have them. Pure.

A model that sees the tools' schemas and their earlier results passes a time in their notation, not in the caller's:
``9:00`` where the calendar says so, ``nine o'clock`` where that is what it says.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from repartee.standins.times import Spoken, same_time, times_in, written_time

CHECK = "check_availability"
SCHEDULE = "schedule_appointment"
_DAY = re.compile(r"\b(today|tomorrow|next week|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b")
_PLACES = (
    ("first", 0),
    ("earlier", 0),
    ("earliest", 0),
    ("second", 1),
    ("third", 2),
    ("later", -1),
    ("last", -1),
)


class BookingTalk(Protocol):
    """What is remembered of it (see ``standins.language_model.Memory``)."""

    said: list[str]
    results: list[tuple[str, object]]
    seen: list[tuple[str, object]]

    @property
    def asked(self) -> str:
        """The latest thing the caller said."""


def next_step(memory: BookingTalk, *, can_check: bool) -> str | None:
    """The tool that brings the booking on; None if there is nothing free to book.

    A time that no result has shown yet is looked up first, where that can be done.
    """
    wanted = wanted_time(memory)
    known = any(name == CHECK for name, _ in memory.seen)
    free = free_times(memory)
    is_free = wanted is None or any(same_time(time.minutes, wanted.minutes) for time in free)
    if can_check and not (known and free and is_free):
        return CHECK
    return SCHEDULE if not known or (free and is_free) or _unreadable(memory) else None


def wanted_time(memory: BookingTalk) -> Spoken | None:
    """The time that the caller chose, by its name or its place among those on offer."""
    for text in reversed(memory.said):
        times = times_in(text)
        if certain := [time for time in times if time.certain]:
            return certain[-1]
        words = re.findall(r"[a-z]+", text.lower())
        place = next((index for word, index in _PLACES if word in words and "one" in words), None)
        free = free_times(memory)
        if place is not None and free:
            return free[min(place, len(free) - 1)]
        if times:
            return times[-1]
    return None


def wanted_day(memory: BookingTalk) -> str | None:
    """The day that the caller named last."""
    for text in reversed(memory.said):
        if days := _DAY.findall(text.lower()):
            return str(days[-1])
    return None


def free_times(memory: BookingTalk) -> list[Spoken]:
    """The times that the latest look into the calendar showed, for the day that is wanted."""
    latest = next((result for name, result in reversed(memory.seen) if name == CHECK), None)
    day = wanted_day(memory)
    return [time for text in _texts(of_day(latest, day)) for time in times_in(text) if _whole(time, text)]


def of_day(result: object, day: str | None) -> object:
    """The part of a result that is about one day, if it is kept by days; else all of it."""
    if day is None:
        return result
    if isinstance(result, dict):
        for key, value in result.items():
            if str(key).lower() == day:
                return value
        inner = [(key, of_day(value, day)) for key, value in result.items() if isinstance(value, dict | list)]
        return next((part for key, part in inner if part is not result[key]), result)
    if isinstance(result, list) and all(isinstance(entry, dict) for entry in result):
        chosen = [entry for entry in result if day in (str(value).lower() for value in entry.values())]
        return chosen or result
    return result


def time_argument(memory: BookingTalk, spec: Mapping[str, Any]) -> str | None:
    """The time that the caller chose, as the tools write it."""
    wanted = wanted_time(memory)
    if wanted is None:
        return None
    free = free_times(memory)
    known = next((time.text for time in free if same_time(time.minutes, wanted.minutes)), None)
    return known or written_time(wanted.minutes, free or _hints(spec))


def corrected(arguments: Mapping[str, object], error: str) -> dict[str, object] | None:
    """The arguments of a call that failed, with their time as the error writes it; None if that changes nothing."""
    offered = times_in(error)
    for key, value in arguments.items():
        tried = times_in(value) if isinstance(value, str) else []
        if len(tried) != 1 or "name" in key:
            continue
        for time in offered:
            if same_time(time.minutes, tried[0].minutes) and time.text != value:
                return {**arguments, key: time.text}
    return None


def _hints(spec: Mapping[str, Any]) -> Sequence[Spoken]:
    """Times in a parameter's schema: examples of how it wants them."""
    shown = [spec.get("description"), spec.get("default"), *(spec.get("examples") or ())]
    text = " ".join(str(part) for part in shown if part)
    found = [time for time in times_in(text) if time.certain]
    return found or (times_in("09:00") if re.search(r"\bHH:MM\b|24[ -]h", text) else [])


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            if str(key).lower() not in ("day", "date"):
                yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _whole(time: Spoken, text: str) -> bool:
    """Whether it is a time, and not a number in some sentence."""
    return time.certain or time.text == text.strip()


def _unreadable(memory: BookingTalk) -> bool:
    """Whether the calendar has been looked into, but shows its times in no way that can be read here."""
    latest = next((result for name, result in reversed(memory.seen) if name == CHECK), None)
    return not free_times(memory) and any(True for _ in _texts(of_day(latest, wanted_day(memory))))
