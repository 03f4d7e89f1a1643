"""What is to be known of calls: one stream of events, the same from both kinds of call. Pure.

Owns the events. Must not know who reads them. They hold no words of anybody's, no arguments and no keys.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from repartee.agent.prefetch import PrefetchFigures
from repartee.latency.extra_requests import ExtraKind
from repartee.latency.kinds import TurnKind
from repartee.latency.timeline import TurnTrace
from repartee.turn.outcome import SpeculationOutcome, TurnOutcome

CallOutcome = Literal[
    "ended",
    "client_slow",
    "providers_gone",
    "too_long",
    "caller_silent",
    "drained",
    "agent_hung_up",
    "transferred",
    "line_lost",
    "failed",
    "cancelled",
]
"""``ended``: the client hung up; ``caller_silent``: the agent did, as nobody spoke; ``line_lost``: a telephone line
carried no audio; ``failed``: a fault of the worker's own; ``cancelled``: the worker stopped before the call did."""


class CallEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all. ``at_s`` is seconds since 1970; ``agent`` is what ``--agent`` named."""

    call_id: str
    at_s: float
    region: str
    agent: str


class CallBegan(CallEvent, frozen=True):
    """A call was taken. ``providers``: their names by stage (``stt``, ``llm``, ``tts``; or ``model``)."""

    providers: Mapping[str, str]


class TurnOver(CallEvent, frozen=True):
    """A turn that wanted an answer is over. ``trace`` is None if no answer to it was ever audible; ``kind`` if there
    was no apology either. ``first``: no turn of the call had an answer before."""

    turn_id: int
    outcome: TurnOutcome
    trace: TurnTrace | None
    providers: Mapping[str, str]
    kind: TurnKind | None = None
    first: bool = False


class SpeculationSettled(CallEvent, frozen=True):
    """A reply begun before its turn was confirmed was used or thrown away. A cascade has these. ``tokens`` is what it
    had taken by then, estimated."""

    outcome: SpeculationOutcome
    tokens: int = 0


class ExtraRequestMade(CallEvent, frozen=True):
    """A language model was asked more than once for a reply, or before its turn had ended."""

    kind: ExtraKind


class ToolRan(CallEvent, frozen=True):
    """A tool of the agent's was asked for and has answered.

    ``ok`` is false if it failed or was refused. ``prefetch`` says whether the answer was there ahead of the question
    (None: the tool is never run ahead). ``waited_ms`` is what the caller waited for it, ``saved_ms`` what was saved.
    """

    turn_id: int
    tool: str
    ok: bool
    prefetch: Literal["hit", "miss"] | None
    waited_ms: float
    saved_ms: float


class Interrupted(CallEvent, frozen=True):
    """The caller spoke while the agent was audible, and the agent stopped. ``turn_id`` is the turn that was being
    answered (0: none, as with a greeting); ``heard_ms`` is how much of the answer had been heard."""

    turn_id: int
    heard_ms: float


class ProviderFailed(CallEvent, frozen=True):
    """A provider failed in a way that cost the caller something. ``message`` is a sentence."""

    stage: str
    provider: str
    message: str


class VendorLeft(CallEvent, frozen=True):
    """A vendor failed a call, or was too slow for it, and the next one of its kind was turned to. ``message`` is a
    sentence."""

    stage: str
    vendor: str
    message: str


class LineTroubled(CallEvent, frozen=True):
    """A telephone line carries no audio one way: ``nothing_received`` from the caller for 2 s, or ``nothing_played``
    of what was sent, by its marks."""

    trouble: str


class CallEnded(CallEvent, frozen=True):
    """A call is over: how, how long it was, and what running tools ahead did in it. The last event of a call."""

    outcome: CallOutcome
    length_s: float
    prefetched: PrefetchFigures
