"""What a model writes that is not for the caller: its thoughts, and tool calls that came out as text.

Takes a reply's tokens and returns what is left of them. Tokens may cut a mark anywhere, so it holds back what could
be the beginning of one.
"""

import re

_PAIRS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<tool_call>": "</tool_call>",
    "<tool_calls>": "</tool_calls>",
    "<function_call>": "</function_call>",
    "<function=": "</function>",
    "<|tool_call|>": "<|/tool_call|>",
    "<|python_tag|>": "<|eom_id|>",
    "<|channel|>analysis": "<|end|>",
    "[TOOL_CALLS]": "[/TOOL_CALLS]",
}
"""The opening marks that models and their servers leave in the text, and what ends each: Qwen's and DeepSeek's
thoughts, Hermes', Llama's and Mistral's calls, gpt-oss's channels."""

_CLOSERS = frozenset(["</think>", "</thinking>", "</thought>", "</reasoning>"])
"""Templates that open the thoughts themselves leave only the end of them in the text."""

_MARKS = frozenset((*_PAIRS, *_CLOSERS))
_MARK = re.compile("|".join(map(re.escape, sorted(_MARKS, key=len, reverse=True))))
_BEGINNINGS = frozenset(mark[:length] for mark in _MARKS for length in range(1, len(mark)))
_LONGEST = max(map(len, _BEGINNINGS))


def _held_length(text: str) -> int:
    """How much of the text's end may be the beginning of a mark."""
    lengths = range(min(_LONGEST, len(text)), 0, -1)
    return next((length for length in lengths if text[-length:] in _BEGINNINGS), 0)


class HiddenText:
    """Takes the hidden text out of one reply."""

    def __init__(self) -> None:
        self._held = ""
        self._until: str | None = None

    def feed(self, text: str) -> str:
        """Take tokens; return what of the text so far is for the caller. Takes time in proportion to its length."""
        if not self._held and self._until is None and "<" not in text and "[" not in text:
            return text
        text, self._held = self._held + text, ""
        shown: list[str] = []
        at = 0
        while at < len(text):
            at = self._skip(text, at) if self._until is not None else self._show(text, at, shown)
        return "".join(shown)

    def finish(self) -> str:
        """There is no more: what was held is text after all, unless it is hidden."""
        rest, self._held = self._held, ""
        return "" if self._until is not None else rest

    def _skip(self, text: str, at: int) -> int:
        """Pass what is hidden from here on; return where it ends."""
        until = self._until or ""
        end = text.find(until, at)
        if end < 0:
            self._held = text[max(at, len(text) - len(until) + 1) :]
            return len(text)
        self._until = None
        return end + len(until)

    def _show(self, text: str, at: int, shown: list[str]) -> int:
        """Show up to the next mark; return where it ends."""
        mark = _MARK.search(text, at)
        if mark is not None:
            shown.append(text[at : mark.start()])
            self._until = _PAIRS.get(mark[0])
            return mark.end()
        held = _held_length(text[max(at, len(text) - _LONGEST) :])
        shown.append(text[at : len(text) - held])
        self._held = text[len(text) - held :]
        return len(text)
