"""The dialogue model: from a conversation and the tools on offer to the next answer. Pure, by rules.

It knows the front desk of one small company and says so when asked for more. What is asked is found by keywords, so
that a misheard word does little harm. How tools are chosen and their results worded is in :mod:`.errands`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from repartee.standins.domain import COMPANY, NAMES
from repartee.standins.errands import ToolRequest, ask_tool, report, second_try, unhelpful
from repartee.standins.phrases import INTENTS, NOT_MY_BUSINESS, SAID
from repartee.standins.script import Line

_TOKEN = re.compile(r"\s*(?:[^\W_]+(?:['’][^\W_]+)*|\S)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said, the tools that are called, or both (speech first)."""

    text: str = ""
    tool_calls: tuple[ToolRequest, ...] = ()


def tokens_of(text: str) -> list[str]:
    """A text cut as a language model would stream it: words with their leading space, punctuation on its own."""
    tokens = _TOKEN.findall(text)
    return [token for token in tokens if token]


@dataclass(slots=True)
class Memory:
    """What a conversation so far tells: the caller, the questions, and what tools have answered since."""

    said: list[str] = field(default_factory=list)
    last_answer: str = ""
    name: str | None = None
    results: list[tuple[str, object]] = field(default_factory=list)
    """What tools have answered since the latest question."""
    seen: list[tuple[str, object]] = field(default_factory=list)
    """What they have answered in the whole conversation."""
    last_call: ToolRequest | None = None
    """The call that brought the latest result."""
    known: dict[str, object] = field(default_factory=dict)

    @property
    def asked(self) -> str:
        """The latest thing the caller said."""
        return self.said[-1] if self.said else ""


def remember(messages: Sequence[Mapping[str, Any]]) -> Memory:
    """The memory of a conversation in OpenAI's chat form."""
    memory = Memory()
    calls: dict[str, ToolRequest] = {}
    for message in messages:
        text = _text(message.get("content"))
        match message.get("role"):
            case "user" if text:
                memory.said.append(text)
                memory.results = []
                memory.name = _name_in(text) or memory.name
            case "assistant":
                for call in message.get("tool_calls") or []:
                    function = call.get("function") or {}
                    made = ToolRequest(str(function.get("name")), str(function.get("arguments") or "{}"))
                    calls[str(call.get("id"))] = made
                memory.last_answer = text or memory.last_answer
            case "tool":
                result = _parsed(text)
                memory.last_call = calls.get(str(message.get("tool_call_id")))
                name = memory.last_call.name if memory.last_call else str(message.get("name") or "tool")
                memory.results.append((name, result))
                memory.seen.append((name, result))
                if isinstance(result, dict):
                    memory.known.update({k: v for k, v in result.items() if isinstance(v, str | int)})
            case _:
                pass
    return memory


def _text(content: object) -> str:
    if isinstance(content, str):
        return content.strip()
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict)).strip()
    return ""


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, with what's and I'm as they are."""
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("’", "'"))


_INTRODUCTION = re.compile(
    r"\b(?:my name is|my name's|this is|i am|i'm|it's|it is|call me)\s+([a-z]+)", re.IGNORECASE
)


def _name_in(text: str) -> str | None:
    found = _INTRODUCTION.search(text.replace("’", "'"))
    if found is None:
        alone = words_of(text)
        return alone[0].capitalize() if len(alone) == 1 and alone[0] in NAMES else None
    name = found.group(1).lower()
    certain = text.lower().startswith(("my name", "call me")) or "my name" in text.lower()
    return name.capitalize() if name in NAMES or (certain and name not in _NOT_NAMES) else None


_NOT_NAMES = frozenset(
    [
        "a",
        "an",
        "the",
        "not",
        "very",
        "so",
        "fine",
        "here",
        "sorry",
        "calling",
        "looking",
        "on",
        "in",
        "at",
        "just",
        "what",
        "who",
        "and",
    ]
)

_PATTERNS = tuple((intent, re.compile("|".join(patterns))) for intent, patterns in INTENTS)


def intent_of(text: str) -> str | None:
    """What a caller wants, by keywords, or None if that is not this desk's business."""
    plain = " ".join(words_of(text))
    if _name_in(text) is not None and not any(p.search(plain) for i, p in _PATTERNS[5:13]):
        return "introduction"
    return next((intent for intent, pattern in _PATTERNS if pattern.search(plain)), None)


def answer(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
    tool_choice: object = "auto",
    lines: Sequence[Line] = (),
) -> Answer:
    """The next answer. With ``lines`` (the light mode) it is read off the script; tools are then never called.

    A conversation whose last message wants an answer to go on that was cut off is answered with the rest of it.
    """
    if (begun := _cut_off(messages)) is not None:
        whole = answer(messages[:-2], tools, tool_choice, lines)
        return Answer(whole.text.removeprefix(begun).lstrip(), whole.tool_calls)
    memory = remember(messages)
    if lines:
        return Answer(_scripted(memory, lines))
    if not memory.said:
        return Answer(f"Hello, this is {COMPANY}. What can I do for you?")
    intent = intent_of(memory.asked)
    offered = (
        [] if tool_choice == "none" else [dict(tool["function"]) for tool in tools if tool.get("function")]
    )
    if memory.results and (failed := unhelpful(memory.results)):
        again = second_try(memory, offered)
        return Answer(tool_calls=(again,)) if again else Answer(failed)
    request = ask_tool(intent, memory, offered, _forced(tool_choice))
    if request is not None:
        return Answer(tool_calls=(request,))
    if memory.results:
        return Answer(report(memory))
    return Answer(_spoken(intent, memory))


_GO_ON = re.compile(r"\[.*\bcut off\b.*\bgo on\b.*\]", re.IGNORECASE | re.DOTALL)


def _cut_off(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """How the answer began that is to go on, if it is."""
    if len(messages) < 3 or [message.get("role") for message in messages[-2:]] != ["assistant", "user"]:
        return None
    wanted = _GO_ON.fullmatch(_text(messages[-1].get("content")))
    return _text(messages[-2].get("content")) if wanted else None


def _forced(choice: object) -> str | None:
    """The tool that must be called by name, ``*`` for any, or None."""
    if isinstance(choice, dict):
        return str((choice.get("function") or {}).get("name") or "*")
    return "*" if choice == "required" else None


def _scripted(memory: Memory, lines: Sequence[Line]) -> str:
    asked = words_of(memory.asked)
    for line in lines:
        if words_of(line.say) == asked:
            return line.reply
    for line in lines:
        if asked and words_of(line.say)[: len(asked)] == asked:
            return line.reply
    return lines[(len(memory.said) - 1) % len(lines)].reply


def _spoken(intent: str | None, memory: Memory) -> str:
    comma_name = f", {memory.name}" if memory.name else ""
    match intent:
        case "introduction":
            return f"Nice to meet you{comma_name}. What can I do for you?"
        case "greeting":
            return f"Hello{comma_name}, this is {COMPANY}. What can I do for you?"
        case "goodbye":
            return f"Thank you and good bye{comma_name}. Have a pleasant day."
        case "my_name":
            if memory.name:
                return f"Your name is {memory.name}. You told me so in this call."
            return "I do not know yet. Tell me your name, and I will remember it."
        case "my_question":
            earlier = memory.said[:-1]
            if not earlier:
                return "You have not asked anything. That was your first question."
            first = "first" in memory.asked.lower()
            wanted = (earlier[0] if first else earlier[-1]).rstrip(".?! ")
            return f"{'First' if first else 'Before that'} you said this: {wanted}. Shall I go on with that?"
        case "repeat":
            if not memory.last_answer:
                return "I have not said anything. What can I do for you?"
            return f"I said the following. {memory.last_answer}"
        case None:
            return NOT_MY_BUSINESS
        case _:
            return SAID[intent]
