"""Which tools are likely to be called next, and with which arguments.

Reads an agent's ``predictions`` into rules, and applies them as a call goes on. Pure but for the agent's own
functions. Runs no tool and keeps no result.

A prediction is complete when each required argument is known: given in the prediction itself; or a word the caller
has just said, for a parameter with a fixed set of words; or a fact of that name, from the caller's metadata or an
earlier tool's result. It tries incomplete predictions again when it knows more.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repartee.agent.context import CallContext, ToolCall
from repartee.agent.experience import GREETING
from repartee.agent.prefetch import Key, Prefetch, Source
from repartee.agent.signature import BadArguments, Signature

Forecast = str | ToolCall | Callable[[CallContext, str], ToolCall | None]
"""A tool's name, a call with some or all of its arguments, or a function of the context and the caller's words."""

Predictions = Mapping[str | tuple[str, ...], Forecast | Sequence[Forecast]]
"""By ``"greeting"``, by the name of the tool that has just answered, or by words that the caller says."""

_WORD = re.compile(r"[\w'’]+")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rule:
    """What is expected in a state (``greeting``, or a tool's name) and when one of the phrases is heard."""

    state: str | None
    phrases: tuple[tuple[str, ...], ...]
    forecasts: tuple[Forecast, ...]


def compile_predictions(
    predictions: Predictions,
    signatures: Mapping[str, Signature],
    read_only: Iterable[str],
    broken: Iterable[str] = (),
) -> tuple[tuple[Rule, ...], list[str]]:
    """The rules, and what is wrong with them, in sentences.

    ``broken`` are tools whose own declaration is at fault: their predictions cannot be judged.
    """
    faults: list[str] = []
    rules: list[Rule] = []
    may_run, broken = set(read_only), set(broken)
    tools = ", ".join(sorted({*signatures, *broken})) or "none"
    for key, value in predictions.items():
        listed = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        names = key if isinstance(key, tuple) else (key,)
        for forecast in listed:
            named = forecast.name if isinstance(forecast, ToolCall) else forecast
            if not isinstance(named, str) or named not in broken:
                faults += _forecast_faults(key, forecast, signatures, may_run, tools)
        phrases = tuple(words_of(name) for name in names if isinstance(name, str))
        if not names or not all(phrases) or len(phrases) != len(names):
            faults.append(f"predictions: {key!r} is neither a state nor words to listen for.")
        elif key == GREETING:
            rules.append(Rule(GREETING, (), tuple(listed)))
        else:
            state = key if isinstance(key, str) and key in signatures else None
            rules.append(Rule(state, phrases, tuple(listed)))
    return tuple(rules), faults


def _forecast_faults(
    key: object, forecast: object, signatures: Mapping[str, Signature], may_run: set[str], tools: str
) -> list[str]:
    if callable(forecast):
        return []
    if not isinstance(forecast, str | ToolCall):
        return [
            f"predictions[{key!r}]: {forecast!r} is neither a tool's name, nor a ToolCall, nor a function."
        ]
    name = forecast if isinstance(forecast, str) else forecast.name
    signature = signatures.get(name)
    if signature is None:
        return [f"predictions[{key!r}]: there is no tool {name!r} (tools: {tools})."]
    if name not in may_run:
        return [
            f"predictions[{key!r}]: {name!r} is not marked read_only=True, so it must not run on a guess."
        ]
    if isinstance(forecast, ToolCall):
        if unknown := sorted(set(forecast.arguments) - set(signature.parameters)):
            return [f"predictions[{key!r}]: {name!r} has no parameter {unknown[0]!r}."]
        if set(signature.required) <= set(forecast.arguments):
            try:
                signature.read(forecast.arguments)
            except BadArguments as error:
                return [f"predictions[{key!r}]: {name!r} would be called wrongly ({error})."]
    return []


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, in lower case, without punctuation."""
    return tuple(_WORD.findall(text.lower()))


def holds(words: Sequence[str], phrase: Sequence[str]) -> int | None:
    """Where a phrase was last said among the words; its last word may be a plural. None: it was not."""
    if not phrase:
        return None
    length = len(phrase)
    *head, last = phrase
    for start in range(len(words) - length, -1, -1):
        if (
            words[start + length - 1] in (last, f"{last}s")
            and list(words[start : start + length - 1]) == head
        ):
            return start
    return None


class Predictor:
    """Applies an agent's rules in one call. ``learnt`` names the tools that past calls make likely in a state."""

    def __init__(
        self,
        rules: Sequence[Rule],
        signatures: Mapping[str, Signature],
        context: CallContext,
        learnt: Callable[[str], Sequence[str]],
    ) -> None:
        self._rules = rules
        self._listens = any(rule.phrases for rule in rules)
        self._signatures = signatures
        self._context = context
        self._learnt = learnt
        self._standing: list[tuple[Forecast, Source]] = []
        self._text = ""
        self._turn_id = 0
        self._settled: set[Key] = set()
        self._settled_in_turn: set[Key] = set()
        self._broken: set[int] = set()

    def enter(self, state: str) -> list[Prefetch]:
        """The call has begun (``greeting``), or a tool of this name has answered."""
        self._standing = [
            (forecast, "state")
            for rule in self._rules
            if rule.state == state
            for forecast in rule.forecasts
            if forecast != state  # a tool named like a word of the caller's: it has just answered
        ]
        mapped = {forecast for forecast, _ in self._standing if isinstance(forecast, str)}
        self._standing += [
            (tool, "learnt")
            for tool in self._learnt(state)
            if tool not in mapped and tool in self._signatures
        ]
        self._settled.clear()
        return self.reconsider()

    def hear(self, turn_id: int, text: str) -> list[Prefetch]:
        """The caller's words in this turn so far."""
        if turn_id != self._turn_id:
            self._turn_id = turn_id
            self._settled_in_turn.clear()
        self._text = text
        return self.reconsider()

    def reconsider(self) -> list[Prefetch]:
        """The predictions that are complete with what is known now, and not settled in this state or turn."""
        if not self._standing and not self._listens:
            return []
        words = words_of(self._text)
        found: dict[Key, Prefetch] = {}
        for forecast, source in [*self._standing, *self._heard(words)]:
            key = self._key(forecast, words)
            settled = self._settled_in_turn if source == "words" else self._settled
            if key is not None and key not in settled:
                found.setdefault(key, Prefetch(key, source))
        return list(found.values())

    def foreseen(self, text: str) -> list[Key]:
        """The calls that these words of the caller's predict by themselves, whatever the state is."""
        self._text = text
        words = words_of(text)
        keys = [self._key(forecast, words) for forecast, _ in self._heard(words)]
        return list(dict.fromkeys(key for key in keys if key is not None))

    def settle(self, key: Key) -> None:
        """This call is made, on a guess or for real: do not return it again in this state and turn."""
        self._settled.add(key)
        self._settled_in_turn.add(key)

    def _heard(self, words: Sequence[str]) -> list[tuple[Forecast, Source]]:
        return [
            (forecast, "words")
            for rule in self._rules
            if any(holds(words, phrase) is not None for phrase in rule.phrases)
            for forecast in rule.forecasts
        ]

    def _key(self, forecast: Forecast, words: Sequence[str]) -> Key | None:
        """The call that is expected, if all its required arguments are known."""
        call = self._asked(forecast)
        signature = self._signatures.get(call.name) if call else None
        if call is None or signature is None:
            return None
        arguments = {**self._filled(signature, words), **call.arguments}
        try:
            return call.name, signature.read(arguments).canonical
        except BadArguments:
            return None

    def _asked(self, forecast: Forecast) -> ToolCall | None:
        if isinstance(forecast, str):
            return ToolCall(forecast)
        if isinstance(forecast, ToolCall):
            return forecast
        if id(forecast) in self._broken:
            return None
        try:
            return forecast(self._context, self._text)
        except Exception as error:
            self._broken.add(id(forecast))
            _log.warning("A prediction failed: %s; not using it again in this call", type(error).__name__)
            return None

    def _filled(self, signature: Signature, words: Sequence[str]) -> dict[str, Any]:
        """Arguments from the caller's words, or else, where one is required, from what is known."""
        known = self._context.known
        filled: dict[str, Any] = {}
        for name in signature.parameters:
            said = {
                place: choice
                for choice in signature.choices.get(name, ())
                if (place := holds(words, words_of(choice))) is not None
            }
            if said:
                filled[name] = said[max(said)]
            elif name in signature.required and name in known:
                filled[name] = known[name]
        return filled
