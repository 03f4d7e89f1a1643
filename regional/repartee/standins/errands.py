"""Tools: which one to call for what was asked, with which arguments, and how to say what it answered. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from repartee.standins import booking

WANTED_BY_INTENT: Mapping[str, tuple[str, ...]] = {
    "balance": ("get_balance",),
    "transactions": ("get_recent_transactions",),
    "appointment": ("check_availability",),
    "booking": ("schedule_appointment",),
    "introduction": ("lookup_customer",),
}
NEEDS_CUSTOMER = ("get_balance", "get_recent_transactions")
GUESS_SCORE = 2
"""A tool not known by name is called if its name and description share so much with the question."""

_STOP = frozenset((
    "a", "an", "the", "my", "your", "our", "of", "on", "at", "in", "to", "for", "and", "or", "is", "are",
    "was", "were", "be", "i", "you", "it", "me", "we", "do", "does", "did", "can", "could", "would", "will",
    "what", "when", "where", "how", "who", "which", "this", "that", "get", "with", "by", "from", "please",
    "given", "returns", "return", "any", "about", "have", "has", "current", "user", "caller", "customer",
    "tool", "function", "call", "use", "used", "information", "info", "data", "look", "up", "tell", "give",
))  # fmt: skip
_NUMBERS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
}


_FOR_THE_MODEL = re.compile(
    r"(^|_)(id|note|notes|hint|hints|instruction|instructions|retry|error)$", re.IGNORECASE
)
"""Fields of a result that nobody would read to a caller."""


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A tool call; ``arguments`` is JSON text."""

    name: str
    arguments: str

    @property
    def parsed(self) -> dict[str, Any]:
        """The arguments; none if they are no JSON object."""
        try:
            found = json.loads(self.arguments)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class Remembered(Protocol):
    """What is remembered of the conversation (see ``standins.language_model.Memory``)."""

    said: list[str]
    name: str | None
    results: list[tuple[str, object]]
    seen: list[tuple[str, object]]
    last_call: "ToolRequest | None"
    known: dict[str, object]

    @property
    def asked(self) -> str:
        """The latest thing the caller said."""


def ask_tool(
    intent: str | None, memory: Remembered, offered: Sequence[Mapping[str, Any]], forced: str | None
) -> ToolRequest | None:
    """The tool to call now, or None. No tool is called twice for one question."""
    done = {name for name, _ in memory.results}
    open_tools = {str(tool.get("name")): tool for tool in offered if tool.get("name") not in done}
    if forced is not None and not memory.results:
        name = (
            forced
            if forced in open_tools
            else _best(memory.asked, open_tools) or next(iter(open_tools), None)
        )
        return _request(open_tools[name], memory) if name is not None else None
    if intent == "booking" and booking.SCHEDULE in open_tools:
        step = booking.next_step(memory, can_check=booking.CHECK in open_tools)
        return _request(open_tools[step], memory) if step is not None else None
    wanted = [name for name in WANTED_BY_INTENT.get(intent or "", ()) if name in open_tools]
    needs = bool(wanted) and wanted[0] in NEEDS_CUSTOMER
    if needs and "lookup_customer" in open_tools and not _customer_id(memory):
        wanted.insert(0, "lookup_customer")
    if wanted:
        return _request(open_tools[wanted[0]], memory)
    if memory.results:
        return None
    guess = _best(memory.asked, open_tools)
    return _request(open_tools[guess], memory) if guess is not None else None


def second_try(memory: Remembered, offered: Sequence[Mapping[str, Any]]) -> ToolRequest | None:
    """The call that failed, put as its error asks for; once only, and None if the error asks for nothing new."""
    call = memory.last_call
    if call is None or call.name not in {tool.get("name") for tool in offered}:
        return None
    if sum(name == call.name for name, _ in memory.results) > 1:
        return None
    better = booking.corrected(call.parsed, _fault_in(memory.results[-1][1]) or "")
    return ToolRequest(call.name, json.dumps(better)) if better is not None else None


def _stems(text: str) -> set[str]:
    words = re.findall(r"[a-z]+", text.replace("_", " ").lower())
    return {
        re.sub(r"(ies|es|s|ing|ed|y)$", "", word)[:7] for word in words if word not in _STOP and len(word) > 2
    }


def _best(asked: str, tools: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The tool whose name (twice) and description (once) share most with the question, if that is enough."""
    words = _stems(asked)

    def score(name: str) -> int:
        return 2 * len(words & _stems(name)) + len(words & _stems(str(tools[name].get("description") or "")))

    known = {name for names in WANTED_BY_INTENT.values() for name in names}
    best = max((name for name in tools if name not in known), key=score, default=None)
    return best if best is not None and score(best) >= GUESS_SCORE else None


def _customer_id(memory: Remembered) -> object | None:
    return next(
        (memory.known[key] for key in ("customer_id", "account_id", "id") if key in memory.known), None
    )


def _request(tool: Mapping[str, Any], memory: Remembered) -> ToolRequest:
    schema = tool.get("parameters") or {}
    properties = schema.get("properties") if isinstance(schema, dict) else None
    required = set(schema.get("required") or ()) if isinstance(schema, dict) else set()
    arguments: dict[str, object] = {}
    for key, spec in (properties or {}).items():
        value = _argument(str(key), spec if isinstance(spec, dict) else {}, memory, needed=key in required)
        if value is not None:
            arguments[str(key)] = value
    return ToolRequest(str(tool["name"]), json.dumps(arguments))


def _argument(key: str, spec: Mapping[str, Any], memory: Remembered, *, needed: bool) -> object | None:
    """A value for one argument, from what was said and learnt; None leaves an optional one out."""
    asked = memory.asked.lower()
    chosen = _chosen(key.lower(), spec, memory)
    if chosen is not None:
        return chosen
    if key in memory.known and not isinstance(spec.get("enum"), list):
        return memory.known[key]
    if isinstance(choices := spec.get("enum"), list) and choices:
        said = [asked, *(text.lower() for text in reversed(memory.said))]
        named = next((choice for text in said for choice in choices if str(choice).lower() in text), None)
        return named if named is not None else choices[0] if needed else None
    kind = spec.get("type", "string")
    if kind in ("integer", "number"):
        found = [_NUMBERS[word] for word in re.findall(r"[a-z]+", asked) if word in _NUMBERS]
        digits = re.findall(r"\d+", asked)
        number = (
            int(digits[0]) if digits else found[0] if found else spec.get("default", spec.get("minimum", 1))
        )
        return number if needed or digits or found else None
    if kind == "boolean":
        return True if needed else None
    if kind in ("array", "object"):
        return ([] if kind == "array" else {}) if needed else None
    return _text_argument(key.lower(), memory, needed=needed)


def _chosen(key: str, spec: Mapping[str, Any], memory: Remembered) -> str | None:
    """A day or a time that the caller named: this goes before what earlier results say."""
    if spec.get("type", "string") != "string" or isinstance(spec.get("enum"), list):
        return None
    if any(part in key for part in ("date", "day", "when")):
        return booking.wanted_day(memory)
    if any(part in key for part in ("time", "slot", "hour")):
        return booking.time_argument(memory, spec)
    return None


def _text_argument(key: str, memory: Remembered, *, needed: bool) -> str | None:
    asked = memory.asked.lower()
    found: str | None = None
    if "name" in key:
        found = memory.name or ("unknown" if needed else None)
    elif key.endswith("id") or "customer" in key or "account" in key:
        found = str(_customer_id(memory) or memory.name or "unknown") if needed else None
    elif any(part in key for part in ("date", "day", "when")):
        found = "today" if needed else None
    elif any(part in key for part in ("time", "slot", "hour")):
        found = "the first one" if needed else None
    elif "phone" in key or "number" in key:
        found = "unknown" if needed else None
    elif place := re.search(r"\b(?:in|for|at|about|to)\s+((?:[a-z]+\s?){1,3})\??$", asked):
        found = place.group(1).strip()
    elif needed:
        found = memory.asked.strip()
    return found


def unhelpful(results: Sequence[tuple[str, object]]) -> str | None:
    """What to say if the latest tool failed, or None if it did not. What the tool wrote was for the model's eyes."""
    fault = _fault_in(results[-1][1])
    if fault is None:
        return None
    if re.search(r"\b(free|taken|available|booked)\b", fault, re.IGNORECASE):
        return "I am sorry, that is not free. Would another time suit you?"
    if re.search(
        r"\b(no|not|nobody|nothing|unknown)\b.*\b(found|find|known|has|have)\b|not found",
        fault,
        re.IGNORECASE,
    ):
        return "I am sorry, I could not find that. Is there anything else?"
    return "I am sorry, that did not work. Shall I try again?"


def _fault_in(result: object) -> str | None:
    """What went wrong, in a tool's words, or None if nothing did."""
    if isinstance(result, str):
        return result if re.match(r"error\b", result, re.IGNORECASE) else None
    if not isinstance(result, dict):
        return None
    if result.get("error"):
        return str(result["error"])
    refused = any(result.get(key) is False for key in ("ok", "success", "booked", "confirmed"))
    if refused or str(result.get("status")).lower() in ("error", "failed", "failure"):
        return json.dumps(result)
    return None


def report(memory: Remembered) -> str:
    """The tools' results in two or three short sentences."""
    tool, result = memory.results[-1]
    match tool:
        case "get_balance" if (amount := _find(result, "balance", "amount", "available")) is not None:
            return f"Here is your balance. You have {_money(amount, result)} in your account. Is there anything else?"
        case "get_recent_transactions":
            return _transactions(result)
        case booking.CHECK:
            return _slots(booking.of_day(result, booking.wanted_day(memory)))
        case booking.SCHEDULE:
            return _booked(result, memory.last_call)
        case "lookup_customer":
            known = _find(result, "name", "customer_name", "first_name", "full_name") or memory.name
            called = f", {str(known).split()[0]}" if known else ""
            return f"I have found you{called}. What can I do for you?"
        case _:
            return f"Here is what I found. {_say(result)}."


def _booked(result: object, call: ToolRequest | None) -> str:
    """When it is: as the result says, or else as it was asked for."""
    keys = ("time", "slot", "when", "start", "date", "day")
    when = _find(result, *keys)
    if when is None and call is not None:
        when = _find(call.parsed, *keys)
    at = f" It is at {_say(when)}." if when is not None else ""
    return f"You are booked in now.{at} We look forward to seeing you."


def _find(result: object, *keys: str) -> object | None:
    """The first of these keys with a value, here or one floor down."""
    if isinstance(result, dict):
        for key in keys:
            if result.get(key) is not None and not isinstance(result[key], dict | list):
                return result[key]  # type: ignore[no-any-return]
        for value in result.values():
            if isinstance(value, dict) and (found := _find(value, *keys)) is not None:
                return found
    return result if isinstance(result, int | float) and not isinstance(result, bool) else None


def _list_in(result: object) -> list[Any]:
    if isinstance(result, list):
        return result
    if isinstance(result, dict):
        return next((value for value in result.values() if isinstance(value, list)), [])
    return []


def _money(amount: object, result: object) -> str:
    currency = str(_find(result, "currency") or "USD").upper()
    unit = {"USD": "dollars", "EUR": "euros", "GBP": "pounds"}.get(currency, currency)
    try:
        value = float(str(amount).replace(",", "").lstrip("$€£"))
    except ValueError:
        return _say(amount)
    whole, cents = divmod(round(abs(value) * 100), 100)
    return f"{'minus ' if value < 0 else ''}{whole} {unit}" + (f" and {cents} cents" if cents else "")


def _transactions(result: object) -> str:
    entries = _list_in(result)[:3]
    if not entries:
        return "There were no payments lately. Is there anything else?"
    spoken = []
    for entry in entries:
        amount = _find(entry, "amount", "value", "total")
        party = (
            _find(entry, "merchant", "description", "payee", "name", "to")
            if isinstance(entry, dict)
            else entry
        )
        money = _money(str(amount).lstrip("-"), entry) if amount is not None else ""
        spoken.append(f"{money} at {_say(party)}" if money and party is not None else money or _say(entry))
    count = {1: "the last one", 2: "the last two", 3: "the last three"}[len(spoken)]
    return f"Here are {count} I found. {_joined(spoken, 'and')}."


def _slots(result: object) -> str:
    entries = [_say(_find(entry, "time", "slot", "start") or entry) for entry in _list_in(result)][:3]
    if entries:
        return f"Yes, there is something free. I can offer {_joined(entries, 'or')}. Which of them suits you?"
    free = _find(result, "available")
    if free:
        return "Yes, that time is free. Shall I book it for you?"
    return "Sorry, nothing is free then. Would another day suit you?"


def _joined(parts: Sequence[str], last: str) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def _say(value: object, depth: int = 0) -> str:
    """Any JSON as words, cut short where it would go on for long."""
    if isinstance(value, dict):
        shown = [(str(key), part) for key, part in value.items() if not _FOR_THE_MODEL.search(str(key))][:4]
        pairs = [f"{key.replace('_', ' ')} is {_say(part, depth + 1)}" for key, part in shown]
        return _joined(pairs, "and") if pairs else "nothing"
    if isinstance(value, list):
        return _joined([_say(v, depth + 1) for v in value[:3]], "and") if value else "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "nothing"
    text = str(value).strip().rstrip(".")
    return text if len(text) <= 200 else text[:200].rsplit(" ", 1)[0]
