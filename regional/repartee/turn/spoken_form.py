"""Written text as people say it: Markdown, addresses, emoji, numbers and amounts, for the voice alone.

Transcripts and the history keep a text as written. :class:`SpokenForm` maps the voice's words back to the written
ones, so that the history ends where the caller stopped hearing it. Pure.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable

from repartee.turn.chunking import speakable
from repartee.turn.events import SpokenWord
from repartee.turn.languages import language_of
from repartee.turn.spoken_numbers import (
    MAX_DIGITS,
    SIGNS,
    clock,
    decimal,
    digits,
    gap,
    money,
    year,
)

_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2190-\u21ff\u200d\u20e3\ufe0e\ufe0f\U000e0020-\U000e007f]+ ?"
)
_TAGGED = re.compile(r"<(\w+)[^<>]*>.*?</\1>|<[^<>]*>")
_NUMBER = r"\d+(?:[.,\u00a0\u202f ]\d{3})*(?:[.,]\d+)?"
_CODES = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "PLN": "zł"}
_SIGN = "[€$£¥₹]|zł|" + "|".join(rf"{code}\b" for code in _CODES)
_DOMAINS = "com|org|net|io|dev|edu|gov|info|eu|de|fr|es|it|pt|nl|jp|in|pl|uk|us|app|ai"
_LATIN = r"0-9A-Za-z_\u00c0-\u024f"
_WRITTEN = re.compile(
    rf"""
    (?P<mail>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)
  | (?P<url>(?:https?://|www\.)[^\s<>()\[\]"']*[\w/])
  | (?P<host>\b(?:[\w-]+\.)+(?:{_DOMAINS})\b(?:/[\w./-]*\w)?)
  | (?P<date>(?<!\d)\d{{4}}-\d\d?-\d\d?(?!\d))
  | (?<![{_LATIN}.,])(?P<sign>{_SIGN})[ \u00a0\u202f]?(?P<amount>{_NUMBER})(?![{_LATIN}])
  | (?<![{_LATIN}.,/:-])(?P<amount2>{_NUMBER})[ \u00a0\u202f]?(?P<sign2>{_SIGN})(?![{_LATIN}])
  | (?<![{_LATIN}.,/:-])(?P<hours>[01]?\d|2[0-3]):(?P<minutes>[0-5]\d)(?:\ Uhr)?(?![{_LATIN}:])
  | (?<![{_LATIN}.,/:-])(?P<number>{_NUMBER})(?P<percent>[ \u00a0\u202f]?%)?(?![{_LATIN}%/:]|[.,-][{_LATIN}])
  | (?<![{_LATIN}+])(?P<phone>\+?\d[\d ()-]{{5,}}\d)(?![{_LATIN}])
    """,
    re.VERBOSE,
)


class SpokenForm:
    """The words of one reply: as they are said, and as they were written. ``language`` is a tag such as ``de-CH``;
    with ``raw`` nothing is changed."""

    def __init__(self, language: str, *, raw: bool = False) -> None:
        self._language = language_of(language).tag
        self._raw = raw
        self._expected: deque[tuple[str, str | None]] = deque()
        self._begun: SpokenWord | None = None

    def say(self, text: str) -> str:
        """A piece of the reply, as the voice is to be given it."""
        if self._raw:
            return text
        spoken = []
        for written, said in _parts(speakable(text), self._language):
            spoken.append(said)
            words = [bare for word in said.split() if (bare := _bare(word))]
            if written == said:
                self._expected.extend((word, None) for word in words)
            else:
                self._expected.extend((word, "") for word in words[:-1])
                self._expected.extend((word, written) for word in words[-1:])
        return "".join(spoken)

    def as_written(self, words: Iterable[SpokenWord]) -> list[SpokenWord]:
        """The voice's words in those that were written: a number that is said in several is heard with the last."""
        return [written for word in words if (written := self._written(word)) is not None]

    def _written(self, word: SpokenWord) -> SpokenWord | None:
        bare = _bare(word.text)
        near = list(self._expected)[:LOOKED_AT]
        place = next((at for at, (expected, _) in enumerate(near) if expected == bare), None)
        if place is None:
            return word
        for _ in range(place):
            self._expected.popleft()
        _, written = self._expected.popleft()
        if written is None:
            return word
        self._begun = self._begun or word
        if not written:
            return None
        began, self._begun = self._begun, None
        return SpokenWord(written, began.start_ms, word.end_ms)


LOOKED_AT = 12
"""A voice may leave out or change so many words before one is no longer found."""


def spoken_form(text: str, language: str) -> str:
    """A whole text as it is said."""
    return SpokenForm(language).say(text)


def _bare(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()


def _parts(text: str, language: str) -> list[tuple[str, str]]:
    """The text in stretches: as written, and as said."""
    text = _EMOJI.sub("", text)
    parts: list[tuple[str, str]] = []
    at = 0
    for tag in _TAGGED.finditer(text):
        parts += _untagged(text[at : tag.start()], language)
        parts.append((tag.group(), tag.group()))
        at = tag.end()
    return parts + _untagged(text[at:], language)


def _untagged(text: str, language: str) -> list[tuple[str, str]]:
    parts: list[tuple[str, str]] = []
    at = 0
    for match in _WRITTEN.finditer(text):
        said = _said(match, language)
        if said is None:
            continue
        parts += [(text[at : match.start()],) * 2, (match.group(), said)]
        at = match.end()
    return [*parts, (text[at:],) * 2]


def _said(match: re.Match[str], language: str) -> str | None:
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    for name, say in _SAY.items():
        if name in found:
            return say(found, language)
    return None


def _address(text: str, language: str) -> str:
    signs = SIGNS[language]
    text = re.sub(r"^https?://", "", text).removeprefix("www.").rstrip("/")
    said = {"@": signs.at, ".": signs.dot, "/": signs.slash, "-": signs.dash, "_": signs.dash}
    words = [said.get(part, part) for part in re.split(r"([@./_-])", text) if part]
    return " ".join(words)


def _split(number: str, language: str) -> tuple[str, str] | None:
    """The digits before and behind the decimal sign; None if that cannot be told."""
    comma = SIGNS[language].decimal_comma
    point, group = (",", ".") if comma else (".", ",")
    plain = re.sub("[\u00a0\u202f ]", "", number)
    if plain.isdigit():
        return plain, ""
    if re.fullmatch(rf"\d{{1,3}}(?:\{group}\d{{3}})+(?:\{point}\d+)?", plain):
        whole, _, fraction = plain.replace(group, "").partition(point)
        return whole, fraction
    for sign in (point, group):
        if plain.count(sign) == 1 and plain.replace(sign, "").isdigit():
            whole, _, fraction = plain.partition(sign)
            return whole, fraction
    return None


def _say_money(found: dict[str, str], language: str) -> str | None:
    sign = found.get("sign") or found["sign2"]
    split = _split(found.get("amount") or found["amount2"], language)
    if split is None or len(split[0]) > MAX_DIGITS or len(split[1]) > 2:
        return None
    return money(_CODES.get(sign, sign), split[0], split[1].ljust(2, "0") if split[1] else "", language)


def _say_number(found: dict[str, str], language: str) -> str | None:
    number = found["number"]
    split = _split(number, language)
    if split is None:
        return None
    whole, fraction = split
    space = gap(language)
    as_digits = (
        len(whole) > MAX_DIGITS or (whole[1:] and whole[0] == "0") or (number.isdigit() and len(whole) > 6)
    )
    if not fraction and as_digits:
        said = digits(whole, language)
    elif len(whole) > MAX_DIGITS:
        return None
    elif number.isdigit() and len(number) == 4:
        said = year(int(number), language)
    else:
        said = decimal(whole, fraction, language)
    return f"{said}{space}{SIGNS[language].percent}" if "percent" in found else said


def _say_phone(found: dict[str, str], language: str) -> str | None:
    groups = re.findall(r"\d+", found["phone"])
    if sum(map(len, groups)) < 7:
        return None  # a date, or a range: the voice knows how to say those
    plus = "plus " if found["phone"].startswith("+") and language != "ja" else ""
    return plus + ", ".join(digits(group, language) for group in groups)


_SAY: dict[str, Callable[[dict[str, str], str], str | None]] = {
    "mail": lambda found, language: _address(found["mail"], language),
    "url": lambda found, language: _address(found["url"], language),
    "host": lambda found, language: _address(found["host"], language),
    "amount": _say_money,
    "amount2": _say_money,
    "minutes": lambda found, language: clock(int(found["hours"]), int(found["minutes"]), language),
    "number": _say_number,
    "phone": _say_phone,
}
