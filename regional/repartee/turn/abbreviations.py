"""Whether a full stop ends a sentence: abbreviations, initials, dates and addresses have some that do not.

The abbreviations are sentencex's (Wikimedia's sentence splitter), of all languages at once: a German name in an
English sentence is abbreviated as in German. A doubtful stop only makes a piece longer.
"""

import re
from collections.abc import Iterable

from sentencex.languages import de, en, es, fr, hi, it, nl, pl, pt


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TITLES = _words(
    "capt col cmdr dhr doc dott dr dra drs eng exmo fr frl gen hon hr hrn ing insp lt m maj messrs mej "
    "mevr mlle mme mons mr mrs ms msgr mt p pe prof profa rev sen sgt sig sigg sr sra sras srs srta st "
    "sta sto univ nr num núm núms nº bzw vgl inkl ca evtl ggf sog usw jan feb apr jun jul aug sep sept "
    "oct okt nov dec dez déc févr janv"
)
"""After these a capital letter is a name's, or what they count."""

_MONTHS = (
    "jan|feb|mär|mar|apr|mai|may|jun|jul|aug|sep|okt|oct|nov|dez|dec|"
    "sty|lut|kwi|maj|cze|lip|sie|wrz|paź|lis|gru"
)

_COMMON = _words(
    "a add age ago all an and any are arm art as at away back bad bar bed big bit box boy bus but by can "
    "car cat come day do dog done door end ever far fast few fine fish food for free fun gas get go god "
    "gone good got gun had hand hard has hat he her here hers him his home hot how i if ill in is it its "
    "job key kid know land last late left less life like line list live long lot low man many me men mine "
    "miss money more most much name near new next no not note now of off ok old on one only open or other "
    "our out over own part past pay per place plan post put red rest right room run same sat say sea see "
    "set she side sit six size so some son soon sort sun sure tax tea team ten test than that the them "
    "then there they thing this time to today too top town trip try two up us use vat very wait walk was "
    "water way we well went wet what when who why win with word work year yes yet you your"
)
"""English words that some list holds as an abbreviation, and that often end a sentence."""

_ORDINAL = re.compile(r"(?:^|[\s(])\d{1,2}$")
_MONTH = re.compile(rf"\s+(?:{_MONTHS})", re.IGNORECASE)
_BEFORE_DATES = re.compile(r"\b(?:am|den|der|dem|vom|zum|bis|im|ab|dnia|do|od)\s+\d{1,2}$", re.IGNORECASE)
_DOTTED = re.compile(r"(?:^|[\s(\"'])(?:[^\W\d_]{1,3}\.)+\s?[^\W\d_]{1,2}$")
_INITIAL = re.compile(r"(?:^|[\s(\"'.])[^\W\d_]$")
_LAST_WORD = re.compile(r"[^\W\d_]+$")
_ADDRESS = re.compile(r"(?:@|://|www)\S*$|(?:^|\s)\S*[@/]\S*$")
_LEADS_TO_ADDRESS = re.compile(
    r"(?:^|\s)(?:at|to|visit|see|on|from|site|website|page|auf|unter|bei|von|zu|sur|chez|à|en|su|op|bij|na|em|via|"
    r"e-?mail|use|with)\s+[\w-]+$",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?:^|\s)[^\W\d_A-Z]+,?\s+[A-Z][\w-]*$")
_SINGLE_LABEL = re.compile(r"^\s*[a-z0-9][\w-]*$")


def _all(lists: Iterable[Iterable[str]]) -> frozenset[str]:
    return frozenset(word.lower().rstrip(".") for words in lists for word in words)


_KNOWN = _TITLES | (
    _all(
        language.abbreviations
        for language in (
            en.English,
            de.Deutsch,
            fr.French,
            es.Spanish,
            it.Italian,
            pt.Portuguese,
            nl.Dutch,
            hi.Hindi,
            pl.Polish,
        )
    )
    - _COMMON
)
"""In lower case, without the last full stop."""


def may_go_on(before: str) -> bool:
    """Whether a full stop after this text, with nothing behind it yet, may be another than a sentence's."""
    word = _LAST_WORD.search(before)
    if word is None:
        return _ORDINAL.search(before) is not None
    one_word = len(word.group()) > 1 and word.group() == before.strip()
    if one_word and word.group()[0].isupper() and word.group().lower() not in _TITLES:
        return False  # "Sure." is an answer
    return bool(
        word.group().lower() in _KNOWN
        or _DOTTED.search(before)
        or _INITIAL.search(before)
        or _ADDRESS.search(before)
        or _LEADS_TO_ADDRESS.search(before)
        or _NAME.search(before)
        or _SINGLE_LABEL.search(before)
    )


def goes_on(before: str, after: str) -> bool:
    """Whether the full stop between these, with a space behind it, is another than a sentence's."""
    following = after.lstrip()[:1]
    if not may_go_on(before):
        return False
    if not following or following.islower():
        return True
    if _ORDINAL.search(before):
        return bool(_MONTH.match(after) or _BEFORE_DATES.search(before))
    word = _LAST_WORD.search(before)
    if word is None:
        return False
    name = word.group().lower()
    if following.isdigit():
        return name in _KNOWN
    return bool(name in _TITLES or _DOTTED.search(before) or _INITIAL.search(before))
