"""What to take out of words before keeping them: patterns that ship, and the operator's own. Pure.

What matches becomes the pattern's name in brackets. Digits that are spoken as words are the recogniser's to redact.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from repartee.errors import ConfigurationError

MOST_PATTERN_CHARS = 500


@dataclass(frozen=True, slots=True)
class Redactor:
    """A pattern, and what tells a match from what only looks like one."""

    name: str
    pattern: re.Pattern[str]
    is_one: Callable[[str], bool] = lambda text: True

    def __call__(self, text: str) -> str:
        """The text without its matches."""
        return self.pattern.sub(lambda found: f"[{self.name}]" if self.is_one(found[0]) else found[0], text)


def _passes_luhn(text: str) -> bool:
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


SHIPPED: Mapping[str, Redactor] = {
    one.name: one
    for one in (
        Redactor("card", re.compile(r"(?<![\d])(?:\d[ \-.]?){12,18}\d(?![\d])"), _passes_luhn),
        Redactor("email", re.compile(r"[\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,8}")),
        Redactor("telephone", re.compile(r"(?<![\w])\+?(?:\d[ \-./()]{0,2}){6,14}\d(?![\w])")),
    )
}
"""Cards first: a telephone's pattern would take a part of one."""


class Redaction:
    """Redactors, one after the other."""

    def __init__(self, redactors: Iterable[Redactor] = ()) -> None:
        self._redactors = tuple(redactors)

    def __repr__(self) -> str:
        return f"<Redaction: {', '.join(one.name for one in self._redactors) or 'nothing'}>"

    def __call__(self, text: str) -> str:
        """The text as it may be kept."""
        for redactor in self._redactors:
            text = redactor(text)
        return text


def redaction_of(names: str, patterns: str = "") -> Redaction:
    """By the names of those that ship, with commas, and the operator's own patterns, a line each.

    Raises ConfigurationError that names every fault.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    faults = [
        f"there is no {name!r}; there are: {', '.join(SHIPPED)}" for name in wanted if name not in SHIPPED
    ]
    own: list[Redactor] = []
    for number, line in enumerate(patterns.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            own.append(Redactor("redacted", _compiled(line)))
        except (re.error, ValueError) as error:
            faults.append(f"line {number} is no pattern: {error}")
    if faults:
        raise ConfigurationError("; ".join(faults))
    return Redaction([*(one for one in SHIPPED.values() if one.name in wanted), *own])


def _compiled(line: str) -> re.Pattern[str]:
    if len(line) > MOST_PATTERN_CHARS:
        raise ValueError(f"it has more than {MOST_PATTERN_CHARS} characters")
    pattern = re.compile(line)
    if pattern.search(""):
        raise ValueError("it matches where nothing is")
    return pattern
