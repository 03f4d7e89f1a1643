"""Digits in what a caller says: written as figures, or as words in one of the languages of answers. Pure.

What it finds must not be kept, so it takes too much rather than too little: "one moment" holds a number too.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from repartee.turn.languages import language_of
from repartee.turn.spoken_numbers import SIGNS, cardinal

_TOKEN = re.compile(r"\w+")
_JAPANESE = re.compile(r"[0-9０-９〇零一二三四五六七八九十百千万]+")
_BETWEEN = re.compile(r"[\s,.\-–/']*")
_REPEATS = {"double": 2, "triple": 3}
_ZEROS: Mapping[str, tuple[str, ...]] = {"en": ("oh", "o", "nought"), "de": ("zwo",)}
"""What is said for a digit beside its number's name."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A row of numbers in a text: where it begins and ends, and its digits as far as they can be told."""

    start: int
    end: int
    digits: str


def replace_digits(text: str, language: str, put: Callable[[int, str], str]) -> str:
    """The text with each row of digits replaced. ``put`` is given the row's place (from 0) and the digits, or the
    words as they were said where those say no plain digits."""
    pieces, at = [], 0
    for place, run in enumerate(_runs(text, language_of(language).tag)):
        pieces += [text[at : run.start], put(place, run.digits)]
        at = run.end
    return "".join((*pieces, text[at:]))


def _runs(text: str, tag: str) -> list[_Run]:
    if tag == "ja":
        return [_Run(found.start(), found.end(), found[0]) for found in _JAPANESE.finditer(text)]
    words = _number_words(tag if tag in SIGNS else "en")
    runs: list[list[re.Match[str]]] = []
    for token in _TOKEN.finditer(text):
        known = token[0].casefold()
        if known not in words and known not in _REPEATS and not any(map(str.isdigit, known)):
            continue
        if runs and _BETWEEN.fullmatch(text[runs[-1][-1].end() : token.start()]):
            runs[-1].append(token)
        else:
            runs.append([token])
    numbers = [run for run in runs if any(token[0].casefold() not in _REPEATS for token in run)]
    return [
        _Run(run[0].start(), run[-1].end(), _digits(run, words) or text[run[0].start() : run[-1].end()])
        for run in numbers
    ]


def _digits(run: list[re.Match[str]], words: Mapping[str, int | None]) -> str:
    """What "forty seven, one one" means: 4711. Nothing, if a word of it is no number below 100."""
    said, times, tens = "", 1, False
    for token in run:
        word = token[0].casefold()
        if word in _REPEATS:
            times = _REPEATS[word]
            continue
        number = words.get(word)
        if word.isdigit():
            said, tens = said + word * times, False
        elif number is None:
            return ""
        elif tens and 0 < number < 10:
            said, tens = said[:-1] + str(number), False
        else:
            said, tens = said + str(number) * times, number >= 20 and number % 10 == 0
        times = 1
    return said


@cache
def _number_words(tag: str) -> Mapping[str, int | None]:
    """The words of numbers, each with its number if it is one by itself below 100."""
    words: dict[str, int | None] = {}
    for number in (*range(100), 100, 1_000):
        spelt = _TOKEN.findall(cardinal(number, tag).casefold())
        if len(spelt) == 1 and number < 100:
            words[spelt[0]] = number
        else:
            words |= {word: words.get(word) for word in spelt}
    joining = {"and", "und", "et", "y", "e", "en", "i"}
    return {word: number for word, number in words.items() if word not in joining} | dict.fromkeys(
        _ZEROS.get(tag, ()), 2 if tag == "de" else 0
    )
