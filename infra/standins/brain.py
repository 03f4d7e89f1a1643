"""The dialogue model: from a conversation and the tools on offer to the next answer. Pure, by rules.

It knows the front desk of one small company and says so when asked for more. What is asked is found by keywords, so
that a misheard word does little harm. How tools are chosen and their results worded is in :mod:`standins.errands`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from standins.domain import COMPANY, NAMES
from standins.errands import ToolRequest, ask_tool, report, unhelpful
from standins.script import Line

LONG_STORY = (
    "That is a good question. Your voice reaches me in small pieces, fifty of them every second, and I begin to make "
    "out words while you are still speaking. As soon as it seems that you have finished, I start to think of an answer, "
    "even before I am quite sure that it is my turn. The first few words of that answer are turned into speech while I am "
    "still looking for the rest, and they are held back until it is certain that you are done. If you go on speaking, I "
    "throw that answer away and begin again, and you never hear of it. All of this has to happen in less than half a "
    "second, because a longer pause feels wrong to people. And you can interrupt me at any time, just as you would with "
    "a person: I stop at once, and I remember only what you have really heard of me."
)

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
    """What a conversation so far tells: the caller, the questions, and what tools have answered since the last one."""

    said: list[str] = field(default_factory=list)
    last_answer: str = ""
    name: str | None = None
    results: list[tuple[str, object]] = field(default_factory=list)
    known: dict[str, object] = field(default_factory=dict)

    @property
    def asked(self) -> str:
        """The latest thing the caller said."""
        return self.said[-1] if self.said else ""


def remember(messages: Sequence[Mapping[str, Any]]) -> Memory:
    """The memory of a conversation in OpenAI's chat form."""
    memory = Memory()
    names_of_calls: dict[str, str] = {}
    for message in messages:
        text = _text(message.get("content"))
        match message.get("role"):
            case "user" if text:
                memory.said.append(text)
                memory.results = []
                memory.name = _name_in(text) or memory.name
            case "assistant":
                for call in message.get("tool_calls") or []:
                    names_of_calls[str(call.get("id"))] = str((call.get("function") or {}).get("name"))
                memory.last_answer = text or memory.last_answer
            case "tool":
                result = _parsed(text)
                name = names_of_calls.get(
                    str(message.get("tool_call_id")), str(message.get("name") or "tool")
                )
                memory.results.append((name, result))
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
    "a an the not very so fine here sorry calling looking on in at just what who and".split()
)

_INTENTS: tuple[tuple[str, str], ...] = (
    ("repeat", r"\brepeat|say (that|it) again|what did you say|\bpardon|once more|n't understand|not understand"),
    ("my_name", r"(what|know|remember).*\bmy name\b|remember me|who am i\b"),
    ("my_question", r"did i ask|was my (first |last )?question|i ask (you|first|before)"),
    ("cancel", r"\bcancel\b"),
    ("person", r"(talk|speak|connect).*\b(person|human|somebody|someone|agent)\b|connect me"),
    ("transactions", r"transaction|payments?\b|\b(spend|spent|buy|bought)\b|statement"),
    ("balance", r"balance|how much.*\b(account|money|have)\b|\bmoney\b.*\b(have|account)\b|check my account|my account"),
    ("hours", r"\bhours\b|\b(open|close|closed|closing|opening)\b"),
    ("place", r"where (are you|is your|can i (find|park))|\baddress\b|located|get (there|to you)|\bpark(ing)?\b|your office"),
    ("story", r"how (do|does|are|is).*\b(work|works|fast)\b|how (you|this|it) works?|so fast|explain|about yourself|repartee"),
    ("abilities", r"what (else )?(can|do) you (do|help)|help me|need (some )?help|can you help|you can do"),
    ("booking", r"o'clock|half past|\b(first|second|earlier|later) one|\bthirty\b|\bat (eight|nine|ten|eleven|one|two|three|four|five|six)\b"),
    ("appointment", r"appointment|\bbook\b|\bdoctor\b|\bcome (by|in|on)\b|can i come|\bfree\b|available|(mon|tues|wednes|thurs|fri|satur|sun)day|tomorrow|next week|\btimes\b"),
    ("robot", r"\brobot\b|real person|computer|who are you|who is this|your name|am i talking"),
    ("goodbye", r"\b(good ?)?bye\b|see you|nice day|good day|that (was|is) all|that's all"),
    ("thanks", r"\bthank"),
    ("well_being", r"how are you|nice to meet"),
    ("there", r"hear me|you there|still there|anybody there"),
    ("more", r"tell me more|\bgo on\b|what else"),
    ("stop", r"^(no )?(stop|wait|hold on|never mind|one moment|not that|sorry|excuse me)"),
    ("yes", r"^(yes|okay|ok|great|perfect|that works|that sounds|that('s| is) (fine|right))"),
    ("no", r"^no\b"),
    ("question", r"question"),
    ("greeting", r"^(hello|hi|hey|good (morning|afternoon|evening))\b"),
)  # fmt: skip
_PATTERNS = tuple((intent, re.compile(pattern)) for intent, pattern in _INTENTS)


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
    """The next answer. With ``lines`` (the light mode) it is read off the script; tools are then never called."""
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
        return Answer(failed)
    request = ask_tool(intent, memory, offered, _forced(tool_choice))
    if request is not None:
        return Answer(tool_calls=(request,))
    if memory.results:
        return Answer(report(intent, memory.results, memory.name))
    return Answer(_spoken(intent, memory))


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


_SAID: Mapping[str, str] = {
    "hours": "We open at eight thirty. On weekdays we are here until six in the evening. On Saturdays we close at noon, "
    "and on Sundays we are closed.",
    "place": "We are on Mill Street. It is number twelve, two minutes from the central station. There is parking behind "
    "the house.",
    "story": LONG_STORY,
    "abilities": "I can help with four things. Ask me for our opening hours, for our address, for your account, or for an "
    "appointment.",
    "robot": f"I am a computer voice. I answer the front desk of {COMPANY}, and I am only a small stand-in, not a real "
    "language model.",
    "thanks": "You are very welcome. Is there anything else?",
    "well_being": "I am very well, thank you. What can I do for you?",
    "there": "Yes, I can hear you. What can I do for you?",
    "stop": "All right, I have stopped. Tell me when you want to go on.",
    "yes": "Good, that is settled. Is there anything else?",
    "no": "All right, then not. Is there anything else?",
    "question": "Please go ahead and ask. I will do my best.",
    "more": "There is not much more. I am only the front desk, so ask me for our hours, our address, your account or an "
    "appointment.",
    "person": "I cannot connect you now. Nobody but me is on this line, but from eight thirty on you will find us at "
    "Mill Street twelve.",
    "cancel": "I cannot cancel it here. Please call us during our opening hours, and a colleague will take care of it.",
    "balance": "I cannot see accounts here. Nobody has given me a way to look them up in this call.",
    "transactions": "I cannot see payments here. Nobody has given me a way to look them up in this call.",
    "appointment": "I cannot see the calendar. Nobody has given me a way to look at it in this call, but you can come by "
    "whenever we are open.",
    "booking": "I cannot book that myself. Nobody has given me a way to write into the calendar in this call.",
}


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
            return (
                "I cannot help with that. I am only a small stand-in: ask me for our opening hours, our address, your "
                "account or an appointment."
            )
        case _:
            return _SAID[intent]
