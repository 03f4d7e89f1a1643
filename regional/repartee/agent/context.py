"""What a user's functions are given: the call they serve, and what a reply is to be made from.

Owns the state of one call on the user's side. Knows no session: what the session offers (saying something) comes in
as a function.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from repartee.agent.author_faults import AuthorTrouble
from repartee.agent.said import Said
from repartee.agent.secret_values import Secrets
from repartee.errors import CannotControl

Fact = str | int | float | bool


DIGITS = re.compile(r"[0-9A-D*#]{1,64}")
NUMBER = re.compile(r"\+?[0-9]{2,20}|sips?:[^\s<>\"]{1,200}")


UNANSWERED = "I am sorry, nobody answers there at the moment."
MOST_BRIEFING = 1_000
"""Characters of what the agent tells a person before the caller comes."""


class CallHandle(Protocol):
    """What an agent can do with a call, beside talking. Nothing here waits."""

    @property
    def can(self) -> Collection[str]:
        """Of ``hang_up``, ``transfer``, ``warm_transfer``, ``hold``, ``dtmf`` and ``on_dtmf``: what the caller's
        connection can do."""

    def hang_up(self, say: str) -> None:
        """End the call once this has been heard."""

    def transfer(
        self, to: str, say: str, briefing: str = "", unanswered: str = "", music: bool = True
    ) -> None:
        """Hand the caller on to this number once ``say`` has been heard; with a briefing, whoever answers there
        hears it first."""

    def hold(self, music: bool) -> None:
        """The caller hears music or nothing, and nobody listens to them."""

    def take_back(self) -> None:
        """The caller is talked to again."""

    def dtmf(self, digits: str) -> None:
        """Have the other side hear these keys."""


class SaidSoFar(Protocol):
    """What was said in a call."""

    @property
    def said(self) -> Sequence[Said]:
        """All of it, in order."""


class CallContext:
    """One call, as the agent's functions see it.

    ``call_id`` is unique; ``state`` is a dict that is the agent's own for the length of the call. ``verified`` is
    what the session's ticket says about the caller; ``metadata`` is that and what the client says.
    ``instructions``, ``greeting``, ``voice`` and ``language`` begin as the agent's and may be changed for this call
    in ``on_call_start``.
    """

    def __init__(
        self,
        call_id: str,
        verified: Mapping[str, Any] | None = None,
        *,
        say: Callable[[str], None] | None = None,
        handle: CallHandle | None = None,
        transcript: SaidSoFar | None = None,
        note_fault: Callable[[AuthorTrouble], None] | None = None,
        secrets: Secrets | None = None,
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
        self._handle = handle
        self._transcript = transcript
        self._note_fault = note_fault
        self._secrets = secrets or Secrets()

    def __repr__(self) -> str:
        return f"<CallContext {self.call_id}>"

    @property
    def transcript(self) -> Sequence[Said]:
        """What was said so far, as the caller experienced it: ``who`` (caller or agent), ``text``, ``at_s``."""
        return self._transcript.said if self._transcript else ()

    @property
    def known(self) -> Mapping[str, Fact]:
        """Facts by name, from the metadata and from tools' results. Predicted calls take their arguments from
        here."""
        return MappingProxyType(self._known)

    def tell(self, metadata: Mapping[str, Any]) -> None:
        """Take what the client says about the caller; it cannot replace what is verified."""
        told = {name: value for name, value in metadata.items() if name not in self.verified}
        self.metadata = MappingProxyType({**told, **self.verified})
        self.learn(facts_in(told))

    def learn(self, facts: Mapping[str, Fact]) -> None:
        """Add facts; a later one replaces an earlier one of its name."""
        self._known.update(facts)

    def say(self, text: str) -> None:
        """Say this text to the caller, word for word, as soon as nothing else is being said.

        Does nothing in a call that cannot speak, or in a tool that runs only on a prediction.
        """
        if self._say is not None and text.strip():
            self._say(text)

    @property
    def can(self) -> Collection[str]:
        """What this call's connection can do: always ``hang_up`` and ``on_dtmf``; on the telephone ``dtmf``, and
        ``transfer`` if the carrier's keys are set."""
        return frozenset(self._handle.can) if self._handle else frozenset()

    def hang_up(self, say: str = "") -> None:
        """End the call once the caller has heard what is being said, and then this text."""
        if self._handle is not None:
            self._handle.hang_up(say)

    def transfer(
        self, to: str, say: str = "", *, briefing: str = "", unanswered: str = UNANSWERED, music: bool = True
    ) -> None:
        """Transfer the caller to a number (+15550100) or a SIP address, once they have heard everything, and then
        this text. The agent then leaves the call.

        With a ``briefing`` the agent first calls the person, while the caller is on hold (with ``music`` or in
        silence). The person hears the briefing and then joins the caller. If nobody answers, the caller hears
        ``unanswered`` and goes on with the agent. Raises CannotControl if the connection cannot do that."""
        if NUMBER.fullmatch(to) is None:
            raise CannotControl(f"{to!r} is no number such as +15550100, nor a SIP address.")
        if self._handle is not None:
            self._require("warm_transfer" if briefing.strip() else "transfer")
            self._handle.transfer(to, say, briefing.strip()[:MOST_BRIEFING], unanswered, music)

    def hold(self, *, music: bool = True) -> None:
        """Put the caller on hold: they hear music, or nothing, and nobody listens to them. Raises CannotControl."""
        if self._handle is not None:
            self._require("hold")
            self._handle.hold(music)

    def take_back(self) -> None:
        """Talk to a caller on hold again. Raises CannotControl."""
        if self._handle is not None:
            self._require("hold")
            self._handle.take_back()

    def dtmf(self, digits: str) -> None:
        """Have the other side hear these keys: 0 to 9, ``*``, ``#`` and A to D. Raises CannotControl."""
        if DIGITS.fullmatch(digits) is None:
            raise CannotControl(f"{digits!r} are no keys: 0 to 9, *, # and A to D are, 64 of them at most.")
        if self._handle is not None:
            self._require("dtmf")
            self._handle.dtmf(digits)

    def _require(self, what: str) -> None:
        if what not in self.can:
            able = ", ".join(sorted(self.can)) or "nothing"
            raise CannotControl(
                f"This call's connection cannot do {what}. It can do: {able} (ctx.can says so)."
            )

    def secret(self, value: str) -> str:
        """Keep this out of records, logs and models for the rest of the call. Returns the placeholder that stands
        for it. A tool may return it, and a model may pass it to a tool whose parameter is a ``Secret``."""
        return self._secrets.keep(value)

    def reveal(self, text: str) -> str:
        """The text with secrets in place of their placeholders, for the author's own use."""
        return self._secrets.reveal(text)

    def hide_digits(self) -> None:
        """The digits that the caller says or keys from now on are secret, until :meth:`show_digits`. A model that
        hears the caller itself (speech to speech) hears silence meanwhile."""
        self._secrets.hides_digits = True

    def show_digits(self) -> None:
        """The digits that the caller says or keys from now on are ordinary ones."""
        self._secrets.hides_digits = False

    @property
    def hidden(self) -> Collection[str]:
        """The secret values: no fault's message shows them."""
        return self._secrets.values

    def failed(self, trouble: AuthorTrouble) -> None:
        """One of the author's functions has failed: for those who watch calls."""
        if self._note_fault is not None:
            self._note_fault(trouble)

    def fork(self) -> "CallContext":
        """A context for a run on a guess: it says nothing, and its state is a copy."""
        twin = CallContext(self.call_id, self.verified, note_fault=self._note_fault, secrets=self._secrets)
        twin.metadata = self.metadata
        twin.state = dict(self.state)
        twin.instructions, twin.greeting = self.instructions, self.greeting
        twin.voice, twin.language = self.voice, self.language
        twin.learn(self._known)
        return twin


def secrets_of(context: CallContext) -> Secrets:
    """What is secret in a call; no part of what authors use."""
    return context._secrets


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool to call, by name: yielded by an agent's own ``reply``, or listed in its predictions.

    A prediction fills in the arguments that it leaves out, as far as they are known.
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
