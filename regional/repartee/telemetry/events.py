"""What there is to know about calls: one stream of events, the same from both kinds of call. Pure.

Owns the events. Must not know who reads them. They hold nobody's words, no arguments and no keys. The exceptions
are ``WordsSaid`` and ``ToolRan.words``, which exist only if the operator keeps words (``REPARTEE_RECORDS=words``).
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from repartee.agent.prefetch import PrefetchFigures
from repartee.agent.said import Speaker
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
    """A call was taken. ``providers``: their names by stage (``stt``, ``llm``, ``tts``; or ``model``).

    ``caller`` is the verified subject or telephone number ("": nobody is known), ``transport`` is ``websocket``,
    ``webrtc`` or ``telephone``, ``version`` tells one version of the agent from the next.
    """

    providers: Mapping[str, str]
    caller: str = ""
    transport: str = "websocket"
    version: str = ""


class TurnOver(CallEvent, frozen=True):
    """A turn that wanted an answer is over. ``trace`` is None if no answer to it was ever audible; ``kind`` if there
    was no apology either. ``first``: no turn of the call had an answer before. ``audible_at_s``: when the answer's
    first audible sample went out, in seconds since 1970; ``cold_ms``: how long the turn waited for connections that
    were not warm, by pool."""

    turn_id: int
    outcome: TurnOutcome
    trace: TurnTrace | None
    providers: Mapping[str, str]
    kind: TurnKind | None = None
    first: bool = False
    audible_at_s: float | None = None
    cold_ms: Mapping[str, float] = {}


class AnswerHeard(CallEvent, frozen=True):
    """The client has reported when a turn's answer was heard: what its side added to the server's figure, in ms.

    ``capture`` is from the microphone to the network, ``network`` there and back, ``playback`` from there to the ear.
    It comes before the turn's ``TurnOver``, or soon after it."""

    turn_id: int
    capture_ms: float
    network_ms: float
    playback_ms: float


class SpeculationSettled(CallEvent, frozen=True):
    """A reply begun before its turn was confirmed was used or thrown away. A cascade has these. ``tokens`` is what it
    had taken by then, estimated."""

    outcome: SpeculationOutcome
    tokens: int = 0


class ExtraRequestMade(CallEvent, frozen=True):
    """A language model was asked more than once for a reply, or before its turn had ended."""

    kind: ExtraKind


class ToolWords(msgspec.Struct, frozen=True):
    """A tool's arguments and its result, as JSON text."""

    arguments: str
    result: str


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
    words: ToolWords | None = None


class VendorUsed(CallEvent, frozen=True):
    """What was used of a vendor: tokens of a model (``estimated``: no server has counted them), or characters that a
    voice was given. Replies that are thrown away and requests made twice are among it. ``audio_…`` are those of a
    speech-to-speech model's tokens that are sound, and not cached."""

    stage: str
    provider: str
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    characters: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    estimated: bool = False


class WordsSaid(CallEvent, frozen=True):
    """One side has said something; comes again, with the same ``item_id``, if less of it was heard than assumed.
    The fields are those of :class:`~repartee.agent.said.Said`."""

    item_id: str
    turn_id: int
    who: Speaker
    text: str
    said_at_s: float
    interrupted: bool


class AuthorFault(CallEvent, frozen=True):
    """A function of the agent's author raised what it should not. ``what`` says which (``tool lookup``,
    ``on_call_start``), ``error`` is the exception's class, ``place`` the author's file and line."""

    what: str
    error: str
    place: str


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
    """A vendor failed a call, or was too slow for it, and the call turned to the next one of its kind. ``message``
    is a sentence."""

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
