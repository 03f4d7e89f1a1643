"""What a user's functions are given: the call they serve, and what a reply is to be made from.

Owns the state of one call on the user's side. Knows no session: what the session offers (saying something) comes in
as a function.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Fact = str | int | float | bool


class CallContext:
    """One call, as the agent's functions see it.

    ``call_id`` is unique; ``state`` is a dict that is the agent's own for the length of the call. ``verified`` is
    what the session's ticket says of the caller, ``metadata`` that and what the client has told. ``instructions``,
    ``greeting``, ``voice`` and ``language`` begin as the agent's and may be changed for this call in
    ``on_call_start``.
    """

    def __init__(
        self,
        call_id: str,
        verified: Mapping[str, Any] | None = None,
        *,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.call_id = call_id
        self.verified: Mapping[str, Any] = MappingProxyType(dict(verified or {}))
        self.metadata: Mapping[str, Any] = self.verified
        self.state: dict[str, Any] = {}
        self.instructions = ""
        self.greeting: str | None = None
        self.voice: str | None = None
        self.language = "en"
        self._known = facts_in(self.verified)
        self._say = say

    def __repr__(self) -> str:
        return f"<CallContext {self.call_id}>"

    @property
    def known(self) -> Mapping[str, Fact]:
        """Facts by name, from the metadata and from tools' results: predicted calls take arguments from here."""
        return MappingProxyType(self._known)

    def tell(self, metadata: Mapping[str, Any]) -> None:
        """What the client says of the caller; it cannot replace what is verified."""
        told = {name: value for name, value in metadata.items() if name not in self.verified}
        self.metadata = MappingProxyType({**told, **self.verified})
        self.learn(facts_in(told))

    def learn(self, facts: Mapping[str, Fact]) -> None:
        """Add facts; a later one replaces an earlier one of its name."""
        self._known.update(facts)

    def say(self, text: str) -> None:
        """Have the caller hear this text as it is, as soon as nothing else is being said.

        Does nothing in a call that cannot speak, and in a tool that runs only because it was predicted.
        """
        if self._say is not None and text.strip():
            self._say(text)

    def fork(self) -> "CallContext":
        """A context for a run that may never have happened: it says nothing, and its state is a copy."""
        twin = CallContext(self.call_id, self.verified)
        twin.metadata = self.metadata
        twin.state = dict(self.state)
        twin.instructions, twin.greeting = self.instructions, self.greeting
        twin.voice, twin.language = self.voice, self.language
        twin.learn(self._known)
        return twin


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool to call, by name: yielded by an agent's own ``reply``, or listed in its predictions.

    In a prediction, arguments that are left out are filled in if they are known.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What a reply is made from. ``messages`` (the instructions first) and ``tools`` are in OpenAI's chat form."""

    call: CallContext
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]
    max_tokens: int
    temperature: float | None


def facts_in(value: object) -> dict[str, Fact]:
    """The named plain values at the top of a mapping; nothing of anything else."""
    if not isinstance(value, Mapping):
        return {}
    return {str(name): fact for name, fact in value.items() if isinstance(fact, Fact)}
