"""What an agent's author has marked as secret in one call: it stays out of records, logs and models. Pure.

A secret has a placeholder, ``[secret 1]``, which stands for it in records and in what a model sees. A tool whose
parameter is a ``Secret`` gets the value.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args

import msgspec

from repartee.turn.spoken_digits import replace_digits

T = TypeVar("T")


class SecretMark:
    """Marks a parameter's type."""

    def __repr__(self) -> str:
        return "SECRET"


SECRET = SecretMark()
Secret = Annotated[T, SECRET]
"""A tool's parameter of this type, such as ``Secret[str]``, is kept out of records, logs and models."""

SHORTEST_HIDDEN = 3
"""A shorter value is hidden where it was marked; anywhere else it may be another thing that looks the same."""

MOST_SECRETS = 1_000
"""Of one call; of what comes beyond them, the placeholder says no number and stands for nothing."""

FULL = "[secret]"
PLACEHOLDER = re.compile(r"\[secret(?: \d+)?\]")


def is_secret(hint: object) -> bool:
    """Whether a type is a :data:`Secret`, or has one in it."""
    marked = any(isinstance(mark, SecretMark) for mark in getattr(hint, "__metadata__", ()))
    return marked or any(is_secret(part) for part in get_args(hint))


class Secrets:
    """The secrets of a call. ``kept`` is called whenever there is another."""

    def __init__(self, kept: Callable[[], None] = lambda: None) -> None:
        self._kept_one = kept
        self._values: dict[str, str] = {}
        self._placeholders: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None
        self._spoken: dict[int, str] = {}
        self.hides_digits = False
        """What the caller says or keys now is secret, as far as it is digits."""

        self.parameters: Mapping[str, frozenset[str]] = {}
        """The secret parameters of the agent's tools, by the tool's name."""

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._values)}>"

    @property
    def values(self) -> Collection[str]:
        """All that is secret."""
        return self._values.values()

    def keep(self, value: str) -> str:
        """The placeholder that stands for this value from now on."""
        if PLACEHOLDER.fullmatch(value):
            return value
        known = self._placeholders.get(value)
        if known is None and len(self._values) < MOST_SECRETS:
            known = self._next()
            self._set(known, value)
        return known or FULL

    def reveal(self, text: str) -> str:
        """The text with the values in place of their placeholders."""
        return (
            PLACEHOLDER.sub(lambda found: self._values.get(found[0], found[0]), text)
            if self._values
            else text
        )

    def hide(self, text: str) -> str:
        """The text with placeholders in place of the values; figures are found however they are grouped."""
        if not self._values:
            return text
        if self._pattern is None:
            self._pattern = _pattern(self._values.values())
        return self._pattern.sub(self._hidden, text)

    def _hidden(self, found: re.Match[str]) -> str:
        text = found[0]
        if PLACEHOLDER.fullmatch(text):
            return text
        known = self._placeholders.get(text) or self._placeholders.get(re.sub(r"\D", "", text))
        return known or self._placeholders.get(_unescaped(text), FULL)

    def hide_arguments(self, tool: str, arguments: str) -> str:
        """A tool's arguments, as JSON text: hides those of its secret parameters, however short, and keeps them as
        secrets."""
        names = self.parameters.get(tool)
        return self.hide(_with_each(arguments, names, self._kept) if names else arguments)

    def reveal_arguments(self, tool: str, arguments: str) -> str:
        """The arguments that a model has given, with the values of placeholders for secret parameters."""
        names = self.parameters.get(tool)
        return _with_each(arguments, names, self._revealed) if names and self._values else arguments

    def _kept(self, value: Any) -> Any:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return value if value in (None, "") else self.keep(text)

    def _revealed(self, value: Any) -> Any:
        return self.reveal(value) if isinstance(value, str) else value

    def hide_messages(self, messages: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """A conversation in OpenAI's chat form, as a model may be shown it."""
        if not self._values and not self.parameters:
            return messages
        return [self._hidden_message(message) for message in messages]

    def _hidden_message(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        hidden = dict(message)
        if isinstance(content := message.get("content"), str):
            hidden["content"] = self.hide(content)
        if calls := message.get("tool_calls"):
            hidden["tool_calls"] = [self._hidden_call(call) for call in calls]
        return hidden

    def _hidden_call(self, call: Mapping[str, Any]) -> Mapping[str, Any]:
        function = call.get("function")
        if not isinstance(function, Mapping):
            return call
        arguments = self.hide_arguments(str(function.get("name")), str(function.get("arguments", "")))
        return {**call, "function": {**function, "arguments": arguments}}

    def turn_began(self) -> None:
        """From now on the digits are new ones."""
        self._spoken.clear()

    def hide_spoken(self, text: str, language: str) -> str:
        """What the caller has said of this turn so far, its digits hidden: a row of them keeps its placeholder while
        it grows."""

        def put(place: int, digits: str) -> str:
            known = self._spoken.get(place)
            if known is None:
                if len(self._values) >= MOST_SECRETS:
                    return FULL
                known = self._spoken[place] = self._next()
            self._set(known, digits)
            return known

        return replace_digits(text, language, put)

    def _next(self) -> str:
        return f"[secret {len(self._values) + 1}]"

    def _set(self, placeholder: str, value: str) -> None:
        before = self._values.get(placeholder)
        if before == value:
            return
        if before is not None and self._placeholders.get(before) == placeholder:
            del self._placeholders[before]
        self._values[placeholder] = value
        self._placeholders.setdefault(value, placeholder)
        self._pattern = None
        self._kept_one()


def _pattern(values: Any) -> re.Pattern[str]:
    long = {value for value in values if len(value) >= SHORTEST_HIDDEN}
    # In JSON text a value stands escaped.
    forms = long | {json.dumps(value)[1:-1] for value in long} | {_in_json(value) for value in long}
    options = [_form(value) for value in sorted(forms, key=len, reverse=True)]
    return re.compile("|".join([PLACEHOLDER.pattern, *options]))


def _form(value: str) -> str:
    text = r"[\s\-.]?".join(value) if value.isdigit() else re.escape(value)
    before = r"(?<!\w)" if value[0].isalnum() else ""
    return f"{before}{text}" + (r"(?!\w)" if value[-1].isalnum() else "")


def _in_json(value: str) -> str:
    return msgspec.json.encode(value).decode()[1:-1]


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


def _with_each(arguments: str, names: frozenset[str], change: Any) -> str:
    """The JSON text with these members changed; text that is no JSON object is left out: it may hold anything."""
    try:
        given = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return "{}"
    if not isinstance(given, dict):
        return "{}"
    changed = {name: change(value) if name in names else value for name, value in given.items()}
    return arguments if changed == given else msgspec.json.encode(changed).decode()
