"""Cuts a stream of tokens into pieces that can be spoken.

A piece is speakable at a sentence end, at a clause boundary once it is long enough, and in any case past a
maximum. The first piece of a reply has thresholds of its own, because it decides when the caller hears something.
Knows nothing of models, voices or time.
"""

import re
from dataclasses import dataclass

_BOUNDARY = re.compile(r"[.!?:;,…]+|\s[-–—]+(?=\s)|—")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:mr|mrs|ms|dr|prof|st|no|vs|etc|approx|e\.g|i\.e|a\.m|p\.m|[a-z])$", re.IGNORECASE
)
_SENTENCE_END = frozenset(".!?:;…")
_MARKUP = re.compile(r"[*_#`~]+|^\s*[-•]\s+", re.MULTILINE)


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
    """One reply's text, in tokens and out in speakable chunks; their concatenation is the whole text."""

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
        """What is left at the reply's end (perhaps nothing)."""
        rest, self._pending = self._pending, ""
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
            if not _is_boundary(text, match.start(), end):
                continue
            spoken = len(text[:end].lstrip())
            if match.group()[-1] in _SENTENCE_END or spoken > clause:
                return end
        if len(text) <= limit:
            return None
        space = text.rfind(" ", 1, limit + 1)
        return space if space > 0 else limit


def _is_boundary(text: str, start: int, end: int) -> bool:
    """Whether the punctuation at ``text[start:end]`` ends a clause, as far as the text so far can tell."""
    mark = text[start]
    if mark in " -–—" or text[start:end].strip() in {"-", "–", "—"}:
        return True
    if end < len(text) and not text[end].isspace() and text[end] not in "\"')]”’":
        return False
    before = text[start - 1] if start else ""
    if end == len(text) and before.isdigit():
        return False  # "3." may become "3.5", "1," may become "1,000": wait for the next token
    return not (mark == "." and end - start == 1 and _ABBREVIATION.search(text[:start]))


def speakable(text: str) -> str:
    """The text as a voice should read it: without Markdown's marks."""
    return _MARKUP.sub("", text)
