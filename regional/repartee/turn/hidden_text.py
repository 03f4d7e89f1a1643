"""What a model writes that is not for the caller: its thoughts, and tool calls that came out as text.

Takes a reply's tokens and gives what is left of them. Tokens may cut a mark anywhere: what could be the beginning of
one is held until it is known.
"""

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

_MARKS = tuple(sorted({*_PAIRS, *_CLOSERS}, key=len, reverse=True))
_BEGINNINGS = frozenset(mark[0] for mark in _MARKS)


class HiddenText:
    """One reply's."""

    def __init__(self) -> None:
        self._held = ""
        self._until: str | None = None

    def feed(self, text: str) -> str:
        """Take tokens; return what of the text so far is for the caller."""
        if not self._held and self._until is None and not _BEGINNINGS & set(text):
            return text
        text, self._held = self._held + text, ""
        shown: list[str] = []
        while text:
            text = self._skip(text) if self._until is not None else self._show(text, shown)
        return "".join(shown)

    def finish(self) -> str:
        """There is no more: what was held is text after all, unless it is hidden."""
        rest, self._held = self._held, ""
        return "" if self._until is not None else rest

    def _skip(self, text: str) -> str:
        """Drop up to the end of what is hidden; return what follows it."""
        until = self._until or ""
        place = text.find(until)
        if place < 0:
            self._held = text[-(len(until) - 1) :] if len(until) > 1 else ""
            return ""
        self._until = None
        return text[place + len(until) :].lstrip("\n")

    def _show(self, text: str, shown: list[str]) -> str:
        """Show up to the next mark; return what follows it."""
        for place, character in enumerate(text):
            if character not in _BEGINNINGS:
                continue
            rest = text[place:]
            mark = next((mark for mark in _MARKS if rest.startswith(mark)), None)
            if mark is not None:
                shown.append(text[:place])
                self._until = _PAIRS.get(mark)
                return rest[len(mark) :]
            if any(mark.startswith(rest) for mark in _MARKS):
                shown.append(text[:place])
                self._held = rest
                return ""
        shown.append(text)
        return ""
