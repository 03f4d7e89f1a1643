"""Times of day as people say them and as programs write them. Pure.

minutes_of("half past three"), minutes_of("3:30"), minutes_of("15:30")   # 210, 210, 930
same_time(210, 930)                                                       # True: nobody says which half of the day
times_in("Free are 9:00 and half past ten")                               # [Spoken(540, "9:00"), Spoken(630, …)]
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

HALF_DAY = 720
FIRST_OFFICE_HOUR = 8
"""Hours before this are of the afternoon, where nobody says which."""

HOURS = (
    "twelve", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
)  # fmt: skip
_MINUTES = {
    "five": 5, "ten": 10, "fifteen": 15, "twenty": 20, "twenty-five": 25, "thirty": 30, "forty": 40, "forty-five": 45,
    "fifty": 50,
}  # fmt: skip
_HOUR = "|".join(sorted(HOURS, key=len, reverse=True))
_HALF = r"(?: ?(?P<half{n}>[ap])\.?m\b\.?| in the (?P<part{n}>morning|afternoon|evening))?"
_TIME = re.compile(
    rf"\b(?:(?P<noon>noon|midday)"
    rf"|(?P<frac>half|(?:a )?quarter) (?P<side>past|to) (?P<fh>{_HOUR}|\d{{1,2}}){_HALF.format(n=1)}"
    rf"|(?P<h>\d{{1,2}})(?::(?P<m>\d\d)(?::\d\d)?)?{_HALF.format(n=2)}(?: ?(?P<dclock>o'clock))?(?![\d:])"
    rf"|(?P<wh>{_HOUR})\b(?: (?P<wm>{'|'.join(_MINUTES)})\b)?(?P<clock> o'clock)?{_HALF.format(n=3)})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A time of day, minutes since midnight, and how it was put. ``certain``: it can be nothing but a time."""

    minutes: int
    text: str
    certain: bool

    @property
    def in_words(self) -> bool:
        """Whether it has no figures."""
        return not re.search(r"\d", self.text)


def times_in(text: str) -> list[Spoken]:
    """All times of a text, in order. A bare number ("nine") counts, though it may be something else."""
    return [time for match in _TIME.finditer(text.replace("’", "'")) if (time := _read(match)) is not None]


def minutes_of(text: str) -> int | None:
    """The only time in a text, or None."""
    found = times_in(text)
    return found[0].minutes if len(found) == 1 else None


def same_time(one: int, other: int) -> bool:
    """Whether two times are the same on a clock's face: nobody says which half of the day it is."""
    return one % HALF_DAY == other % HALF_DAY


def written_time(minutes: int, like: Sequence[Spoken] = ()) -> str:
    """A time in the notation of an example, or else as programs write it: 9:00, 14:30."""
    in_office = minutes + (HALF_DAY if minutes < FIRST_OFFICE_HOUR * 60 else 0)
    example = like[0].text if like else "9:00"
    if like and like[0].in_words:
        return in_words(minutes)
    hour, minute = divmod(in_office, 60)
    if half := re.search(r" ?[ap]\.?m\b\.?", example, re.IGNORECASE):
        suffix = (
            half.group().lower().replace("a", "p") if hour >= 12 else half.group().lower().replace("p", "a")
        )
        figures = f"{(hour - 1) % 12 + 1}" + (f":{minute:02d}" if ":" in example or minute else "")
        return figures + (suffix.upper() if half.group().isupper() or "M" in half.group() else suffix)
    return f"{hour:02d}:{minute:02d}" if re.match(r"0\d:", example) else f"{hour}:{minute:02d}"


def in_words(minutes: int) -> str:
    """A time as one says it: nine o'clock, half past three, ten forty."""
    hour, minute = divmod(minutes, 60)
    word = HOURS[hour % 12]
    if minute == 0:
        return f"{word} o'clock"
    if minute == 30:
        return f"half past {word}"
    tail = next((name for name, value in _MINUTES.items() if value == minute), str(minute))
    return f"{word} {tail}"


def _read(match: re.Match[str]) -> Spoken | None:
    part = match.groupdict()
    if part["noon"]:
        return Spoken(HALF_DAY, match.group(), certain=True)
    if part["frac"]:
        away = 30 if part["frac"].lower() == "half" else 15
        hour, minute = _hour(part["fh"]), away if part["side"].lower() == "past" else -away
        certain = True
    elif part["h"]:
        hour, minute = int(part["h"]), int(part["m"] or 0)
        certain = bool(part["m"] or part["half2"] or part["part2"] or part["dclock"])
    else:
        hour, minute = _hour(part["wh"]), _MINUTES.get((part["wm"] or "").lower(), 0)
        certain = bool(part["clock"] or part["wm"] or part["half3"] or part["part3"])
    if hour > 23 or minute > 59:
        return None
    half = next((part[key] for key in ("half1", "half2", "half3") if part[key]), None)
    phrase = next((part[key] for key in ("part1", "part2", "part3") if part[key]), None)
    if (half or phrase) and hour <= 12:
        morning = half in ("a", "A") or phrase == "morning"
        hour = hour % 12 + (0 if morning else 12)
    return Spoken((hour * 60 + minute) % (2 * HALF_DAY), match.group().strip(), certain)


def _hour(text: str) -> int:
    return int(text) if text.isdigit() else (HOURS.index(text.lower()) or 12)
