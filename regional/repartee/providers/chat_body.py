"""Makes a chat completions request in the form that a model's server takes.

Starts from what the model's family takes (openai_models) and from the deployment's own wishes, and learns from
refusals: if a server refuses a parameter by name, it does not send that parameter again.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from repartee.providers.interfaces import ReplyRequest
from repartee.providers.openai_models import asking

log = logging.getLogger(__name__)

OTHER_NAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""What a parameter is called by other servers."""

INSTRUCTING = frozenset(["system", "developer"])
"""The roles of what the developer says; a server may know one of them only."""

NEEDED = frozenset(["model", "messages", "stream", "tools"])
"""Without these there would be no answer, or another agent."""

MOST_REFUSALS = 7
"""So many parameters may be refused, one after the other, before a request is given up."""

_ROLE = re.compile(r"\brole", re.IGNORECASE)
_QUOTED = re.compile(r"['\"`]([a-z_]{3,40})['\"`]")
_SUPPLIED = re.compile(r"arguments? supplied: ([a-z_, ]+)")
"""How parameters are named in words: in quotes, or in the list of those that OpenAI does not know."""

USAGE = "stream_options"
"""Asks for what an answer has used. A server that refuses it is not asked again."""

UNCOUNTED_ANSWERS = 2
"""A server that takes it, and ends so many answers without a figure, is not waited for any longer."""


class ChatBody:
    """Makes the bodies for one model at one server.

    ``effort`` and ``service_tier`` are the deployment's (``reasoning_effort``, ``service_tier``; empty: what the
    family needs, and nothing), ``extra`` are further fields.
    """

    def __init__(
        self,
        model: str,
        tokens_field: str,
        *,
        effort: str = "",
        service_tier: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self._model = model
        self._tokens_field = tokens_field
        family = asking(model)
        self._takes_temperature = family.temperature
        self._instructing = family.instructing
        self._roles_refused: set[str] = set()
        wishes = {"reasoning_effort": effort or family.effort, "service_tier": service_tier}
        self._fixed = {name: value for name, value in wishes.items() if value} | dict(extra or {})
        self._refused: set[str] = set()
        self._renamed: dict[str, str] = {}
        self._told = False
        self._uncounted = 0

    def of(self, request: ReplyRequest) -> dict[str, Any]:
        """The body for a request, with what the server is known to take."""
        body: dict[str, Any] = {
            "model": self._model,
            "messages": self._as_called(request.messages),
            "stream": True,
            USAGE: {"include_usage": True},
            self._tokens_field: request.max_tokens,
            **self._fixed,
        }
        if request.temperature is not None and self._temperature(request.temperature):
            body["temperature"] = request.temperature
        if request.tools:
            body["tools"] = request.tools
            choice = request.tool_choice
            named = {"type": "function", "function": {"name": choice}}
            body["tool_choice"] = choice if choice in ("auto", "none", "required") else named
        return self._as_learnt(body)

    @property
    def counted(self) -> bool:
        """An answer's end may be followed by what it has used."""
        return USAGE not in self._refused and self._uncounted < UNCOUNTED_ANSWERS

    def note_answer(self, *, counted: bool) -> None:
        """An answer has ended, with what it has used or without."""
        self._uncounted = 0 if counted else self._uncounted + 1

    def learn(self, body: Mapping[str, Any], status: int, param: str | None, said: str) -> bool:
        """A server has refused this body. True if it refused a parameter or a role: the next body goes without
        that, so the request is worth another try."""
        if status not in (400, 422):
            return False
        name = self._at_fault(body, param, said)
        if name is None:
            return self._learn_role(body, param, said)
        self._refused.add(name)
        other = OTHER_NAME.get(name)
        if other is not None and other not in self._refused:
            self._renamed[name] = other
            log.warning("%s does not take %s; sending %s from now on", self._model, name, other)
        else:
            self._renamed = {old: new for old, new in self._renamed.items() if new != name}
            log.warning("%s does not take %s (%s); leaving it out from now on", self._model, name, said[:300])
        return True

    def _at_fault(self, body: Mapping[str, Any], param: str | None, said: str) -> str | None:
        named = [re.split(r"[.\[]", param, maxsplit=1)[0]] if param else _names_in(said)
        return next((name for name in named if name in body and name not in NEEDED), None)

    def _as_learnt(self, body: dict[str, Any]) -> dict[str, Any]:
        for name in self._refused & body.keys():
            value = body.pop(name)
            if (other := self._renamed.get(name)) is not None:
                body.setdefault(other, value)
        return body

    def _as_called(self, messages: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The messages, with the developer's in the role that the model has for them."""
        if not any(message.get("role") in INSTRUCTING for message in messages):
            return messages
        role = self._instructing
        return [
            {**message, "role": role} if message.get("role") in INSTRUCTING else message
            for message in messages
        ]

    def _learn_role(self, body: Mapping[str, Any], param: str | None, said: str) -> bool:
        """Whether what is refused is the role of the developer's messages, and it has a name that may do."""
        sent = {message.get("role") for message in body.get("messages", ())} & INSTRUCTING
        about_roles = (param is None or param.startswith("messages")) and _ROLE.search(said)
        refused = next((role for role in sent if about_roles and role in said.lower()), None)
        if refused is None:
            return False
        self._roles_refused.add(refused)
        left = INSTRUCTING - self._roles_refused
        if not left:
            return False
        if self._instructing == refused:
            [self._instructing] = left
            log.warning(
                "%s does not take the role %s; sending %s from now on",
                self._model,
                refused,
                self._instructing,
            )
        return True

    def _temperature(self, temperature: float) -> bool:
        """Whether the model takes a temperature; says so once if it does not."""
        if self._takes_temperature or temperature == 1:
            return True
        if not self._told:
            self._told = True
            log.warning("%s takes no temperature but 1; leaving out the agent's %g", self._model, temperature)
        return False


def _names_in(said: str) -> list[str]:
    listed = [name.strip() for found in _SUPPLIED.findall(said) for name in found.split(",")]
    return [*_QUOTED.findall(said), *listed]
