"""The part of a conversation that a model sees: no more than it can hold, and nothing that its server refuses.

Works on messages in OpenAI's chat form, as :meth:`~repartee.turn.history.History.messages` gives them; the history
itself keeps everything. What it learns from one refusal holds for the rest of the call. Pure.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

Messages = list[dict[str, Any]]

CONTEXT_TOKENS = 32_000
"""How much of a conversation a model is shown, in estimated tokens: models hold more, and answer later for it."""

KEPT_TURNS = 2
"""The newest turns are never left out."""

CHARS_PER_TOKEN = 4
"""Of Latin script; a letter of any other is reckoned as half a token or a whole one."""

LEFT_OUT = "(left out)"
"""What stands for a text that is too long or that a server refuses."""

MESSAGE_TOKENS = 4
"""What a message costs beside its text."""

LEFT_OUT_TOKENS = len(LEFT_OUT) // CHARS_PER_TOKEN + MESSAGE_TOKENS

BEGINNING = "(The call begins.)"
"""What a caller is made to have said where a conversation must begin with them."""

_PARAMETER = re.compile(
    r"(?:unsupported|unrecogni[sz]ed|unknown|invalid|unexpected|extra)[\w ]* (?:parameter|argument|field|input)|"
    r"unsupported value|max_(?:completion_)?tokens.{0,40}(?:instead|support|too large)|temperature|reasoning_effort|"
    r"service_tier|model .*(?:not exist|not found)",
    re.IGNORECASE,
)
_LENGTH = re.compile(
    r"context.{0,20}(?:length|window|size)|too long|too many tokens|maximum.{0,30}tokens|exceed",
    re.IGNORECASE,
)
_ROLES = re.compile(r"alternat|roles must|first message|last message|consecutive|system role", re.IGNORECASE)
_FILTER = re.compile(r"content.?filter|content management policy|safety|flagged", re.IGNORECASE)
_PLACE = re.compile(r"messages?[\[.\s]+(\d+)")


class ContextWindow:
    """The part of one call that a model sees: ``tokens`` at most."""

    def __init__(self, tokens: int = CONTEXT_TOKENS) -> None:
        self._tokens = tokens
        self._alternate = False
        self._no_system = False
        self.left_out: Messages = []
        """What the last conversation that was fitted has had to leave out, in order."""

    def fit(self, messages: Sequence[Mapping[str, Any]]) -> Messages:
        """What to ask with. The oldest tools' results go first, then the oldest turns; the instructions never."""
        fitted = [dict(message) for message in messages]
        self.left_out = []
        if tokens_of(fitted) > self._tokens:
            fitted = self._shortened(fitted)
        return self._alternating(fitted) if self._alternate else fitted

    def mended(self, messages: Sequence[Mapping[str, Any]], refusal: str) -> Messages | None:
        """What to ask with instead of ``messages``, which a server refused with 400 in these words.

        None: the refusal is not of the history, or there is nothing to mend.
        """
        if _PARAMETER.search(refusal) and not _LENGTH.search(refusal) and not _ROLES.search(refusal):
            return None
        asked = [dict(message) for message in messages]
        if _LENGTH.search(refusal):
            shown = tokens_of(asked)
            fixed = sum(_tokens_of(message) for message in asked if message["role"] == "system")
            self._tokens = max((shown - fixed) * 2 // 3 + fixed, 1)
            mended = self.fit(asked)
        elif place := _PLACE.search(refusal):
            mended = _blanked(asked, int(place[1]))
        elif _FILTER.search(refusal):
            users = [place for place, message in enumerate(asked) if message["role"] == "user"]
            mended = _blanked(asked, users[-1]) if users else asked
        elif _ROLES.search(refusal) or not self._alternate:
            self._alternate = True
            self._no_system = "system" in refusal.lower()
            mended = self._alternating(asked)
        else:
            mended = _without_oldest(asked)
        return mended if mended != asked else None

    def _shortened(self, messages: Messages) -> Messages:
        """In time proportional to the conversation's length, which a client decides."""
        sizes = [_tokens_of(message) for message in messages]
        size, kept_from = sum(sizes), _start_of_turns(messages, KEPT_TURNS)
        for place in range(kept_from):
            message = messages[place]
            if size > self._tokens and message["role"] == "tool" and sizes[place] > LEFT_OUT_TOKENS:
                message["content"] = LEFT_OUT
                size -= sizes[place] - LEFT_OUT_TOKENS
                sizes[place] = LEFT_OUT_TOKENS
        going, cut = 0, 0
        for place in range(kept_from + 1):
            if place == kept_from or messages[place]["role"] == "user":
                cut = place
                if size - going <= self._tokens:
                    break
            if place < kept_from and messages[place]["role"] != "system":
                going += sizes[place]
        self.left_out = [message for message in messages[:cut] if message["role"] != "system"]
        return _cut_off(messages, cut)

    def _alternating(self, messages: Messages) -> Messages:
        """Neighbours of one role joined, the caller first: as Gemma's and Mistral's templates want it."""
        joined: Messages = []
        for role, neighbours in groupby(messages, _speaker_of):
            said = list(neighbours)
            if role is None or len(said) == 1:
                joined += said
            else:
                joined.append({**said[0], "content": "\n".join(message["content"] for message in said)})
        first = next((place for place, message in enumerate(joined) if message["role"] != "system"), None)
        if first is not None and joined[first]["role"] == "assistant":
            joined.insert(first, {"role": "user", "content": BEGINNING})
        return _system_folded(joined) if self._no_system else joined


def _speaker_of(message: Mapping[str, Any]) -> str | None:
    """Whose words these are; None for a call of a tool, its result and the instructions."""
    words = message["role"] in ("user", "assistant") and "tool_calls" not in message
    return message["role"] if words else None


def _system_folded(messages: Messages) -> Messages:
    """The instructions as part of the caller's first words, for templates that know no system role."""
    told = "\n".join(message["content"] for message in messages if message["role"] == "system")
    rest = [message for message in messages if message["role"] != "system"]
    if rest and rest[0]["role"] == "user" and told:
        rest[0] = {**rest[0], "content": f"{told}\n\n{rest[0]['content']}"}
    return rest


def _tokens_of(message: Mapping[str, Any]) -> int:
    return (
        estimated_tokens(f"{message.get('content') or ''}{message.get('tool_calls') or ''}") + MESSAGE_TOKENS
    )


def tokens_of(messages: Sequence[Mapping[str, Any]]) -> int:
    """About how many tokens these messages take."""
    return sum(map(_tokens_of, messages))


def estimated_tokens(text: str) -> int:
    """About how many tokens a text takes."""
    # A letter beyond Latin takes two or three bytes of UTF-8: so one can tell without looking at each.
    wide = min((len(text.encode("utf-8", "surrogatepass")) - len(text)) // 2, len(text))
    return (len(text) - wide) // CHARS_PER_TOKEN + wide


def _start_of_turns(messages: Messages, turns: int) -> int:
    """Where the last so many turns begin: what is before that may go, if only a greeting."""
    starts = [place for place, message in enumerate(messages) if message["role"] == "user"]
    return starts[-turns:][0] if starts else max(len(messages) - 1, 0)


def _cut_off(messages: Messages, before: int) -> Messages:
    """Without what stands before this place; the instructions stay."""
    return [
        message for place, message in enumerate(messages) if place >= before or message["role"] == "system"
    ]


def _without_oldest(messages: Messages) -> Messages:
    """Without the oldest turn that may go: from what follows the instructions to the next words of the caller."""
    first = next((place for place, message in enumerate(messages) if message["role"] != "system"), 0)
    kept_from = _start_of_turns(messages, KEPT_TURNS)
    users = (place for place in range(first + 1, kept_from) if messages[place]["role"] == "user")
    return _cut_off(messages, next(users, kept_from))


def _blanked(messages: Messages, place: int) -> Messages:
    """With the message at this place blanked; a tool's call goes with its result."""
    if not 0 <= place < len(messages):
        return _without_oldest(messages)
    message = messages[place]
    if message["role"] == "system":
        return messages
    ids = {call["id"] for call in message.get("tool_calls", [])} | {message.get("tool_call_id")} - {None}
    if not ids:
        return [*messages[:place], {**message, "content": LEFT_OUT}, *messages[place + 1 :]]
    return [
        other
        for other in messages
        if other.get("tool_call_id") not in ids
        and not ids & {call["id"] for call in other.get("tool_calls", [])}
    ]
