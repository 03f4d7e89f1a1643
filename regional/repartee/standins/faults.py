"""Faults on request: what goes wrong, where, how often and when. Decides only; :mod:`.link` carries it out.

A fault is put on the board (``POST /standins/faults``), or asked for by one connection or request alone with the
header ``x-standins-fault`` or the query key ``standins_fault``: ``close; after_messages=3; code=1011``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

FAULT_HEADER = "x-standins-fault"
FAULT_QUERY = "standins_fault"
PROVIDERS = (
    "deepgram",
    "deepgram-tts",
    "openai",
    "openai-realtime",
    "cartesia",
    "cartesia-stt",
    "elevenlabs",
)

AT_CONNECT = {"bad_key": 401, "rate_limited": 429, "server_error": 500, "refuse": 503}
"""Kinds that refuse the connection or request, with the status each has unless told another."""

IN_MID_STREAM = {
    "half_open": "nothing is sent or read any more, pings included, while the socket stays open",
    "silent": "nothing is sent any more, but pings are answered",
    "close": "the WebSocket is closed with `code` and `reason`; an HTTP stream just ends",
    "drop": "the TCP connection is reset",
    "malformed": "one message is cut in half, so that it is not JSON",
    "error": "the provider's own error message is sent, with `status`",
}
IN_ANSWER = {
    "empty_response": "an answer ends with nothing in it",
    "filtered_response": "an answer ends with nothing in it, for the content filter",
    "unknown_tool": "an answer calls a function that nobody has declared",
}
"""Kinds that spoil one answer: a request to the language model, or a response of the speech-to-speech model's."""

IN_RESPONSE = {
    **IN_ANSWER,
    "silent_response": "a response has words and no sound",
    "failed_response": "a response fails, for a server error",
    "refuse_response": "a response is refused with an error; one that nobody asked for never begins",
    "never_done": "a response begins and never goes on",
    "duplicate_events": "each event of a response comes twice",
    "unknown_events": "events that nobody knows come among a response's",
    "close_in_response": "the WebSocket is closed with `code` after a response's first sound",
}
"""Kinds that spoil one response of the speech-to-speech model's, and leave its connection alone."""

IN_MESSAGES = {
    "strange_messages": "a recogniser's messages have fields that nobody knows and null where that may be; a warning "
    "and one of an unknown type come before each",
    "configure_refused": "a recogniser refuses each Configure with ConfigureFailure",
}
"""Kinds that leave a connection alone, and have its messages come as they may."""

KINDS = (*AT_CONNECT, "hang_at_connect", "slow_first_token", *IN_MID_STREAM, *IN_MESSAGES, *IN_RESPONSE)


class FaultError(ValueError):
    """A fault's description is wrong; the message names every mistake."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    It hits ``count`` connections (or requests of the language model, or responses) after letting ``skip`` pass. In
    mid-stream it strikes once ``after_messages`` messages have been sent and ``after_ms`` ms have passed since the
    start. ``delay_ms`` is for ``slow_first_token``.
    """

    kind: str
    provider: str = "any"
    count: int = 1
    skip: int = 0
    after_ms: float = 0
    after_messages: int = 0
    delay_ms: float = 2000
    status: int | None = None
    code: int = 1011
    reason: str = ""
    retry_after_s: float = 1

    @property
    def refusal_status(self) -> int | None:
        """The HTTP status with which a connection or request is refused, or None if this fault lets it in."""
        if self.kind not in AT_CONNECT:
            return None
        return self.status if self.status is not None else AT_CONNECT[self.kind]


_TEXT = {"kind", "provider", "reason"}
_WHOLE = {"count", "skip", "after_messages", "status", "code"}
_LIMITS = {"status": (400, 599), "code": (1000, 4999)}
_KEYS = set(Fault.__slots__)


def parse_fault(document: object) -> Fault:
    """A fault from its JSON object. Raises FaultError naming every mistake."""
    if not isinstance(document, Mapping):
        raise FaultError("A fault must be a JSON object with at least a kind.")
    wrong = [f"{key}: no such key (known are {', '.join(sorted(_KEYS))})" for key in document.keys() - _KEYS]
    if document.get("kind") not in KINDS:
        wrong.append(f"kind: must be one of {', '.join(KINDS)}")
    if document.get("provider", "any") not in ("any", *PROVIDERS):
        wrong.append(f"provider: must be one of any, {', '.join(PROVIDERS)}")
    for key in document.keys() & _KEYS - _TEXT:
        wrong += _number_faults(key, document[key])
    if not isinstance(document.get("reason", ""), str):
        wrong.append("reason: must be text")
    if wrong:
        raise FaultError("; ".join(sorted(wrong)) + ".")
    return Fault(**document)


def _number_faults(key: str, value: Any) -> list[str]:
    kind = int if key in _WHOLE else int | float
    if isinstance(value, bool) or not isinstance(value, kind) or value < 0:
        return [f"{key}: must be a {'whole ' if key in _WHOLE else ''}number of zero or more"]
    low, high = _LIMITS.get(key, (0, float("inf")))
    return [] if low <= value <= high else [f"{key}: must be between {low} and {high}"]


def parse_fault_text(text: str) -> Fault:
    """A fault from a header or query value: ``kind; key=value; …``. Raises FaultError."""
    kind, *settings = (part.strip() for part in text.split(";"))
    document: dict[str, Any] = {"kind": kind}
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals:
            raise FaultError(f"“{setting}” must be key=value.")
        try:
            document[key] = value if key in _TEXT else int(value) if key in _WHOLE else float(value)
        except ValueError:
            raise FaultError(f"{key}: must be a number, not “{value}”.") from None
    return parse_fault(document)


@dataclass(slots=True)
class FaultBoard:
    """The faults waiting to strike, in the order in which they were put."""

    waiting: list[Fault] = field(default_factory=list)
    struck: int = 0

    def put(self, fault: Fault) -> None:
        """Arm a fault."""
        if fault.count > 0:
            self.waiting.append(fault)

    def clear(self) -> None:
        """Forget all faults."""
        self.waiting.clear()

    def take(self, provider: str, kinds: Collection[str] = KINDS) -> Fault | None:
        """The fault of these kinds for a new connection or request of this provider, if it gets one.

        Each waiting fault of this provider counts the passer-by in its ``skip``; the first whose turn it is strikes.
        """
        hit: Fault | None = None
        kept: list[Fault] = []
        for fault in self.waiting:
            if hit is not None or fault.provider not in ("any", provider) or fault.kind not in kinds:
                kept.append(fault)
            elif fault.skip > 0:
                kept.append(replace(fault, skip=fault.skip - 1))
            else:
                hit = fault
                if fault.count > 1:
                    kept.append(replace(fault, count=fault.count - 1))
        self.waiting = kept
        self.struck += hit is not None
        return hit


@dataclass(slots=True)
class FaultGate:
    """Says when a mid-stream fault strikes on one connection or stream."""

    fault: Fault | None
    started_s: float
    sent: int = 0
    struck: bool = False

    def strikes(self, now_s: float) -> bool:
        """Whether the fault strikes at the message about to be sent (which is counted). True once only."""
        fault = self.fault
        if fault is None or self.struck or fault.kind not in IN_MID_STREAM:
            return False
        due = self.sent >= fault.after_messages and (now_s - self.started_s) * 1000 >= fault.after_ms
        self.sent += 1
        self.struck = due
        return due
