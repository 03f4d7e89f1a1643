"""Cuts a stream of tokens into pieces that can be spoken.

A piece is speakable at a sentence end, at a clause boundary once it is long enough, and in any case past a
maximum. The first piece of a reply has thresholds of its own, because it decides when the caller hears something.
A piece that ends at the last token is not held back to see what follows, unless what is there already is in doubt:
"3." may become "3.5", "Dr." is no end. Knows nothing of models, voices or time.
"""

import re
from dataclasses import dataclass

_SENTENCE_MARKS = ".!?:;…。！？：；؟؛।"
_CLAUSE_MARKS = ",，、،"
_BOUNDARY = re.compile(rf"[{_SENTENCE_MARKS}{_CLAUSE_MARKS}]+|(?<=\S)[^\S\n][-–—]+(?=\s)|—")
_UNSPACED_MARKS = frozenset("。！？：；，、")
_CLOSING = frozenset("\"')]}”’»」』）")

_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:mr|mrs|ms|dr|prof|jr|sr|st|vs|etc|approx|apt|ext|dept|e\.g|i\.e|a\.m|p\.m|[a-z])$",
    re.IGNORECASE,
)
_NUMBER_SIGN = re.compile(r"(?:^|[\s(\"'])no$", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"(?:^|\n)\s*\d+$")

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, Chinese and Japanese letters and marks (Korean has spaces)."""

_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class ChunkPolicy:
    """When a piece of text is speakable. Lengths are in characters."""

    clause_chars: int = 40
    """A clause boundary counts once the piece is longer than this."""

    max_chars: int = 80
    """A piece never grows past this: it is cut between words."""

    first_clause_chars: int = 8
    """The same as ``clause_chars``, for a reply's first piece: shorter than "of course," sounds clipped."""

    first_max_chars: int = 48
    """The same as ``max_chars``, for a reply's first piece."""


class Chunker:
    """One reply's text, in tokens and out in speakable chunks; their concatenation is the whole text.

    Each chunk has a letter or digit in it, but for what :meth:`finish` returns and a flood of punctuation.
    """

    def __init__(self, policy: ChunkPolicy) -> None:
        self._policy = policy
        self._pending = ""
        self._first = True

    def feed(self, text: str) -> list[str]:
        """Take tokens; return the chunks that have become speakable, in order."""
        self._pending += text
        chunks = []
        while (cut := self._cut()) is not None:
            chunks.append(self._pending[:cut])
            self._pending = self._pending[cut:]
            self._first = False
        return chunks

    def finish(self) -> str:
        """What is left (perhaps nothing); the text that follows begins a new piece."""
        rest, self._pending = self._pending, ""
        self._first = self._first and not has_words(rest)
        return rest

    def _cut(self) -> int | None:
        """Where the pending text can be cut now: the index after the first speakable piece."""
        policy = self._policy
        clause = policy.first_clause_chars if self._first else policy.clause_chars
        limit = policy.first_max_chars if self._first else policy.max_chars
        text = self._pending
        for match in _BOUNDARY.finditer(text):
            end = match.end()
            if end > limit:
                break
            if not _is_boundary(text, match.start(), end) or not has_words(text[:end]):
                continue
            spoken = len(text[:end].lstrip())
            if match.group()[-1] in _SENTENCE_MARKS or spoken > clause:
                return end
        return _between_words(text, limit) if len(text) > limit else None


def _between_words(text: str, limit: int) -> int:
    """The last place up to the limit where no word is cut; the limit itself, if one word is that long."""
    first = len(text) - len(text.lstrip())
    for place in range(limit, first, -1):
        if text[place].isspace() or (_UNSPACED.match(text[place]) and text[place].isalnum()):
            return place
    return limit


def _is_boundary(text: str, start: int, end: int) -> bool:
    """Whether the punctuation at ``text[start:end]`` ends a clause, as far as the text so far can tell."""
    marks = text[start:end].strip()
    if marks[0] in "-–—" or marks[-1] in _UNSPACED_MARKS:
        return True
    if end < len(text) and not text[end].isspace() and text[end] not in _CLOSING:
        return False
    before = text[:start]
    if end == len(text) and before[-1:].isdigit():
        return False  # "3." may become "3.5", "1," may become "1,000": wait for the next token
    if marks != ".":
        return True
    if _NUMBER_SIGN.search(before):
        # "No. 5" is a number, "No." an answer; within a sentence its capital tells before the digit does.
        following = text[end:].lstrip()[:1]
        return not following.isdigit() if following else before.endswith("no") or before.strip() == "No"
    return not (_ABBREVIATION.search(before) or _LIST_NUMBER.search(before))


def has_words(text: str) -> bool:
    """Whether there is anything to pronounce."""
    return _WORD.search(text) is not None


def is_unspaced(character: str) -> bool:
    """Whether the character is of a script that has no spaces between its words."""
    return _UNSPACED.match(character) is not None


_LINK = re.compile(r"\[([^\]]*)\]\([^)\s]*\)")
_LINE_MARK = re.compile(r"^[^\S\n]*(?:[-*•]|#{1,6})[^\S\n]+", re.MULTILINE)
_DOUBLED = re.compile(r"\*\*+|__+|~~+|`+")
_EMPHASIS = re.compile(r"(?<!\w)[*_](?=[\w\"'“‘])|(?<=[\w.,!?…\"'”’])[*_](?!\w)")
_LEFT_OVER = re.compile(rf"^[{_SENTENCE_MARKS}{_CLAUSE_MARKS}\"')\]”’]+(?=\s|$)")


def speakable(text: str) -> str:
    """The text as a voice should read it: without Markdown's marks, and without the end of the piece before.

    "press *", "5*3" and "C#" keep theirs.
    """
    text = _LEFT_OVER.sub("", text)
    text = _LINE_MARK.sub("", _LINK.sub(r"\1", text))
    return _EMPHASIS.sub("", _DOUBLED.sub("", text))
