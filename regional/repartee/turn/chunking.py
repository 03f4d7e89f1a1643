"""Cuts a stream of tokens into pieces that can be spoken.

A piece is speakable at a sentence end, at a clause boundary once it is long enough, and in any case past a maximum.
The first piece of a reply may be shorter, because it decides when the caller hears something. Where waiting for a
boundary costs too much (:mod:`~repartee.turn.pacing` decides that), a piece is cut between words, at the place that
sounds least clipped. The chunker does not hold back a piece that ends at the last token to see what follows, unless
the end is in doubt: "3." may become "3.5", "Dr." is no end. Knows nothing of models, voices or time.
"""

import re
from dataclasses import dataclass

from repartee.turn.abbreviations import goes_on

_SENTENCE_MARKS = ".!?:;…。！？：；؟؛।"
_CLAUSE_MARKS = ",，、،"
_BOUNDARY = re.compile(rf"[{_SENTENCE_MARKS}{_CLAUSE_MARKS}]+|(?<=\S)[^\S\n][-–—]+(?=\s)|—")
_UNSPACED_MARKS = frozenset("。！？：；，、")
_CLOSING = frozenset("\"')]}”’»」』）")

_NUMBER_SIGN = re.compile(r"(?:^|[\s(\"'])no$", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"(?:^|\n)\s*\d+$")

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, Chinese and Japanese letters and marks (Korean has spaces)."""

_UNSPACED_WEIGHT = 3
"""About as many letters of a script with spaces are spoken in the time of one of these."""

_WORD = re.compile(r"[^\W_]")

_LEADS_ON = re.compile(
    r"(?:^|[\s(\"'])(?:an?|the|this|that|these|those|my|your|his|her|its|our|their|some|any|every|each|of|to|in|on|at|"
    r"by|for|from|with|as|into|about|than|and|or|but|if|when|because|so|which|who|i|we|he|she|they)$",
    re.IGNORECASE,
)
"""English words that a voice does not pause after: what they belong to follows. Other languages have their own."""


_BEYOND_CHARS = 32
"""So much of what follows the longest piece is looked at: a number sign's digit, behind spaces."""


@dataclass(frozen=True, slots=True)
class ChunkPolicy:
    """When a piece of text is speakable. Lengths are in characters."""

    clause_chars: int = 40
    """A clause boundary counts once the piece is longer than this."""

    max_chars: int = 80
    """A piece never grows past this: it is cut between words."""

    first_clause_chars: int = 8
    """The same as ``clause_chars``, for a reply's first piece: shorter than "of course," sounds clipped.

    At ``clause_chars`` or more the first piece is like any other, and no piece is cut because time presses.
    """

    first_wait_ms: float = 140.0
    """How long after the first token a boundary is waited for; then the first piece is cut between words.

    It is what half a second leaves: 500 ms less 120 (eager end of turn), 140 (first token) and 100 (first audio). At
    60 tokens a second it is nine tokens, about 45 characters.
    """

    early_chars: int = 12
    """The least length of what is cut because time presses, if not ``first_clause_chars`` is more: three words."""

    stall_ms: float = 400.0
    """No token for so long: the model has stalled. Then ``first_clause_chars`` are enough, ending with any word."""

    speech_chars_per_s: float = 15.0
    """How fast a voice speaks: some 155 English words a minute."""

    @property
    def paced(self) -> bool:
        """Whether time may cut a piece."""
        return self.first_clause_chars < self.clause_chars


class Chunker:
    """One reply's text, in tokens and out in speakable chunks; their concatenation is the whole text.

    Each chunk has a letter or digit in it, but for what :meth:`finish` returns and a flood of punctuation.
    """

    def __init__(self, policy: ChunkPolicy) -> None:
        self._policy = policy
        self._pending = ""
        self._first = True

    @property
    def pending(self) -> str:
        """The text that is in no chunk yet."""
        return self._pending

    @property
    def begun(self) -> bool:
        """The first piece is behind."""
        return not self._first

    def feed(self, text: str) -> list[str]:
        """Take tokens; return the chunks that have become speakable, in order."""
        text, at = self._pending + text, 0
        chunks = []
        while (cut := self._cut(text[at : at + self._policy.max_chars + _BEYOND_CHARS])) is not None:
            chunks.append(text[at : at + cut])
            at += cut
            self._first = False
        self._pending = text[at:]
        return chunks

    def cut_early(self, least_chars: float, *, anywhere: bool = False) -> str | None:
        """A chunk that ends before its boundary has come, with at least so much to say; None if there is none.

        The last word stays, for it may go on. A cut that would sound clipped is made only if there is no other and
        ``anywhere`` allows it, or if there is as much to say as a piece may hold.
        """
        place = self._early_place(least_chars, anywhere)
        return None if place is None else self._take(place)

    def finish(self) -> str:
        """What is left (perhaps nothing); the text that follows begins a new piece."""
        rest, self._pending = self._pending, ""
        self._first = self._first and not has_words(rest)
        return rest

    def _take(self, cut: int) -> str:
        chunk, self._pending = self._pending[:cut], self._pending[cut:]
        self._first = False
        return chunk

    def _cut(self, text: str) -> int | None:
        """Where the text can be cut now: the index after the first speakable piece."""
        policy = self._policy
        clause = policy.first_clause_chars if self._first else policy.clause_chars
        for match in _BOUNDARY.finditer(text):
            end = match.end()
            if end > policy.max_chars:
                break
            if not _is_boundary(text, match.start(), end) or not has_words(text[:end]):
                continue
            spoken = len(text[:end].lstrip())
            if match.group()[-1] in _SENTENCE_MARKS or spoken > clause:
                return end
        return _between_words(text, policy.max_chars) if len(text) > policy.max_chars else None

    def _early_place(self, least_chars: float, anywhere: bool) -> int | None:
        text = self._pending
        places = [
            place
            for place in range(1, len(text))
            if _parts_words(text, place) and spoken_length(text[:place]) >= least_chars
        ]
        clauses = [place for place in places if text[place - 1] in _CLAUSE_MARKS]
        fitting = clauses or [place for place in places if not _sounds_clipped(text, place)]
        if fitting:
            return fitting[-1]
        enough = places and (anywhere or spoken_length(text[: places[-1]]) >= self._policy.max_chars)
        return places[-1] if enough else None


def _between_words(text: str, limit: int) -> int:
    """The last place up to the limit where no word is cut; the limit itself, if one word is that long.

    One in the second half that does not sound clipped goes before later ones that do.
    """
    first = len(text) - len(text.lstrip())
    places = [place for place in range(limit, first, -1) if _parts_words(text, place)]
    fitting = (place for place in places if place > limit // 2 and not _sounds_clipped(text, place))
    return next(fitting, places[0] if places else limit)


def _parts_words(text: str, place: int) -> bool:
    """Whether a word, or a letter of a script without spaces, ends at this place and another may begin."""
    return text[place].isspace() or (is_unspaced(text[place]) and text[place].isalnum())


def _sounds_clipped(text: str, place: int) -> bool:
    """Whether the words before this place belong closely to what follows: "of the", "Dr.", half a link."""
    before = text[:place].rstrip()
    if not text[place].isspace() or before.count("[") > before.count("]"):
        return True
    if _in_tag(before):
        return True
    if before.endswith("."):
        return goes_on(before[:-1], text[place:]) or _NUMBER_SIGN.search(before[:-1]) is not None
    return _LEADS_ON.search(before) is not None


def _is_boundary(text: str, start: int, end: int) -> bool:
    """Whether the punctuation at ``text[start:end]`` ends a clause, as far as the text so far can tell."""
    marks = text[start:end].strip()
    if marks[0] in "-–—" or marks[-1] in _UNSPACED_MARKS:
        return True
    if end < len(text) and not text[end].isspace() and text[end] not in _CLOSING:
        return False
    before = text[:start]
    if _in_tag(before):
        return False
    if end == len(text) and before[-1:].isdigit():
        return False  # "3." may become "3.5", "1," may become "1,000": wait for the next token
    if marks != ".":
        return True
    if _NUMBER_SIGN.search(before):
        # "No. 5" is a number, "No." an answer; within a sentence its capital tells before the digit does.
        following = text[end:].lstrip()[:1]
        return not following.isdigit() if following else before.endswith("no") or before.strip() == "No"
    return not (goes_on(before, text[end:]) or _LIST_NUMBER.search(before))


_TAG = re.compile(r"<(/?)([a-zA-Z][\w-]*)([^<>]*)(>?)")


def _in_tag(text: str) -> bool:
    """Whether a tag of the voice's, or what it encloses, is not complete at the end of the text."""
    if "<" not in text:
        return False
    open_tags: list[str] = []
    for closes, name, inside, end in _TAG.findall(text):
        if not end:
            return True
        if closes and name in open_tags:
            open_tags.remove(name)
        elif not closes and not inside.endswith("/"):
            open_tags.append(name)
    return bool(open_tags) or text.rstrip().endswith("<")


def has_words(text: str) -> bool:
    """Whether there is anything to pronounce."""
    return _WORD.search(text) is not None


_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"')\]”’»]*\s+|(?<=[。！？؟।])")


def last_sentence(text: str) -> str:
    """The last sentence of a text, or what there is of it."""
    sentences = [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]
    return sentences[-1] if sentences else ""


def whole_sentences(text: str) -> str:
    """The text as far as its sentences are whole."""
    ends = [match.start() for match in _SENTENCE_END.finditer(f"{text} ")]
    return text[: ends[-1]] if ends else ""


def is_question(sentence: str) -> bool:
    """Whether it ends as a question does."""
    return sentence.rstrip().rstrip("\"')]”’» ").endswith(("?", "？", "؟"))


def spoken_length(text: str) -> int:
    """How much there is to say, in characters of a script with spaces: one without them says more with each."""
    text = text.strip()
    if text.isascii():
        return len(text)
    return len(text) + (_UNSPACED_WEIGHT - 1) * len(_UNSPACED.findall(text))


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
