"""One call's end of the stream: says what happens in the call, with the fields that all its events share."""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypedDict

from repartee.agent.author_faults import AuthorTrouble
from repartee.agent.prefetch import PrefetchFigures
from repartee.agent.said import Said
from repartee.agent.toolbox import Run
from repartee.errors import ProviderError, VoiceError
from repartee.latency.extra_requests import ExtraKind
from repartee.pool.cold_waits import ColdWaits
from repartee.telemetry import events as t
from repartee.turn.commands import TurnFinished
from repartee.turn.outcome import SpeculationOutcome
from repartee.turn.usage import TokenUsage
from repartee.wire.relay_events import UsageSeen

log = logging.getLogger(__name__)

Emit = Callable[[t.CallEvent], None]
"""Takes an event; does not raise, and waits for nothing."""


@dataclass(frozen=True, slots=True)
class CallOrigin:
    """Who calls whom, and how: as :class:`~repartee.telemetry.events.CallBegan` has it. ``words``: the operator keeps
    words, so that events may hold them."""

    caller: str = ""
    transport: str = "websocket"
    version: str = ""
    words: bool = False


@dataclass(frozen=True, slots=True)
class CallLabels:
    """What is the same in all events of a call; ``providers`` are the names of those who
    serve it now, by stage."""

    call_id: str
    region: str
    agent: str
    providers: Mapping[str, str]
    origin: CallOrigin = field(default_factory=CallOrigin)


class ClientStages(Protocol):
    """What a turn took on the client's side, in ms."""

    @property
    def capture(self) -> float: ...

    @property
    def network(self) -> float: ...

    @property
    def playback(self) -> float: ...


class _Shared(TypedDict):
    call_id: str
    at_s: float
    region: str
    agent: str


class CallReport:
    """Emits the events of one call. ``wall_clock`` is seconds since 1970, ``clock`` seconds on a monotonic clock.
    ``hide`` takes out of words what is secret."""

    def __init__(
        self,
        labels: CallLabels,
        emit: Emit,
        *,
        hide: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._labels = labels
        self._emit = emit
        self._hide = hide
        self._clock, self._wall_clock = clock, wall_clock
        self._began_at = clock()
        self._turn_heard = False
        self._audible_at: tuple[int, float] | None = None
        self._last_audible = 0
        self._reported: set[int] = set()
        self.cold_waits: ColdWaits = deque()
        """What the call's pools note; the call puts its own in its place when it begins."""

    def began(self) -> None:
        """The call was taken."""
        self._began_at = self._clock()
        origin = self._labels.origin
        began = t.CallBegan(
            **self._shared(),
            providers=dict(self._labels.providers),
            caller=origin.caller,
            transport=origin.transport,
            version=origin.version,
        )
        self._emit(began)

    def answer_audible(self, turn_id: int) -> None:
        """The answer to this turn has become audible, now."""
        self._audible_at = (turn_id, self._wall_clock())
        self._last_audible = max(turn_id, self._last_audible)

    def turn_finished(self, finished: TurnFinished) -> None:
        """A turn that wanted an answer is over."""
        trace = finished.trace
        over = t.TurnOver(
            **self._shared(),
            turn_id=finished.turn_id,
            outcome=finished.outcome,
            trace=trace,
            providers=dict(self._labels.providers),
            kind="apology" if finished.apology else trace.kind if trace else None,
            first=not self._turn_heard,
            audible_at_s=self._audible_at_s(finished.turn_id) if trace else None,
            cold_ms=self._cold_ms(trace.voice_to_voice_ms if trace else 0.0, finished.turn_id),
        )
        self._turn_heard = self._turn_heard or trace is not None
        self._emit(over)

    def answer_heard(self, turn_id: int, stages: ClientStages) -> None:
        """The client says when the answer was heard there. Its word counts once for a turn that was answered."""
        if not 0 < turn_id <= self._last_audible or turn_id in self._reported:
            return
        self._reported.add(turn_id)
        heard = t.AnswerHeard(
            **self._shared(),
            turn_id=turn_id,
            capture_ms=stages.capture,
            network_ms=stages.network,
            playback_ms=stages.playback,
        )
        self._emit(heard)

    def _cold_ms(self, took_ms: float, turn_id: int) -> dict[str, float]:
        """What was waited for connections since the caller had finished."""
        since = (self._audible_at_s(turn_id) or self._wall_clock()) - took_ms / 1000
        waits = {wait.pool: wait.ms for wait in self.cold_waits if wait.until_s >= since}
        self.cold_waits.clear()
        return waits

    def _audible_at_s(self, turn_id: int) -> float | None:
        return self._audible_at[1] if self._audible_at and self._audible_at[0] == turn_id else None

    def author_failed(self, trouble: AuthorTrouble) -> None:
        """A function of the agent's author raised what it should not; its log has been written."""
        self._emit(
            t.AuthorFault(**self._shared(), what=trouble.what, error=trouble.error, place=trouble.place)
        )

    def speculation_ended(self, outcome: SpeculationOutcome, tokens: int = 0) -> None:
        """A reply begun before its turn was confirmed was used or thrown away."""
        self._emit(t.SpeculationSettled(**self._shared(), outcome=outcome, tokens=tokens))

    def extra_request(self, kind: ExtraKind) -> None:
        """A language model was asked more than once for a reply, or before its turn had ended."""
        self._emit(t.ExtraRequestMade(**self._shared(), kind=kind))

    def tool_ran(self, run: Run) -> None:
        """A tool of the agent's has answered."""
        ran = t.ToolRan(
            **self._shared(),
            turn_id=run.turn_id,
            tool=run.tool,
            ok=run.ok,
            prefetch=run.prefetch,
            waited_ms=run.waited_ms,
            saved_ms=run.saved_ms,
            words=self._words_of(run) if self._labels.origin.words else None,
        )
        self._emit(ran)

    def _words_of(self, run: Run) -> t.ToolWords:
        return t.ToolWords(self._hide(run.arguments), self._hide(run.output))

    def tokens_used(self, used: TokenUsage, estimated: bool) -> None:
        """The model has used this."""
        event = t.VendorUsed(
            **self._shared(),
            stage="llm",
            provider=self._labels.providers.get("llm", "unknown"),
            input_tokens=used.input_tokens,
            cached_tokens=used.cached_tokens,
            output_tokens=used.output_tokens,
            estimated=estimated,
        )
        self._emit(event)

    def model_used(self, used: UsageSeen) -> None:
        """The speech-to-speech model has used this for a response."""
        read, written = used.input_token_details, used.output_token_details
        cached_sound = read.cached_tokens_details.audio_tokens if read.cached_tokens_details else 0
        event = t.VendorUsed(
            **self._shared(),
            stage="model",
            provider=self._labels.providers.get("model", "unknown"),
            input_tokens=used.input_tokens,
            cached_tokens=read.cached_tokens,
            output_tokens=used.output_tokens,
            audio_input_tokens=max(read.audio_tokens - cached_sound, 0),
            audio_output_tokens=written.audio_tokens,
        )
        self._emit(event)

    def characters_used(self, characters: int) -> None:
        """The voice was given so many."""
        provider = self._labels.providers.get("tts", "unknown")
        self._emit(t.VendorUsed(**self._shared(), stage="tts", provider=provider, characters=characters))

    def said(self, said: Said) -> None:
        """One side has said something, or less of it was heard than was thought."""
        if not self._labels.origin.words:
            return
        event = t.WordsSaid(
            **self._shared(),
            item_id=said.item_id,
            turn_id=said.turn_id,
            who=said.who,
            text=self._hide(said.text),
            said_at_s=said.at_s,
            interrupted=said.interrupted,
        )
        self._emit(event)

    def interrupted(self, turn_id: int, heard_ms: float) -> None:
        """The caller spoke over the agent, and the agent stopped."""
        self._emit(t.Interrupted(**self._shared(), turn_id=turn_id, heard_ms=heard_ms))

    def provider_failed(self, stage: str, error: VoiceError | str) -> None:
        """A provider failed in a way that cost the caller something."""
        named = self._labels.providers.get(stage, "unknown")
        provider = error.provider if isinstance(error, ProviderError) else named
        log.warning(
            "%s failed (%s): %s; counting it, and going on as far as the call can", stage, provider, error
        )
        failed = t.ProviderFailed(**self._shared(), stage=stage, provider=provider, message=str(error))
        self._emit(failed)

    def line_troubled(self, trouble: str) -> None:
        """The telephone line carries no audio one way."""
        log.warning("the telephone line carries no audio one way: %s; reporting it, and going on", trouble)
        self._emit(t.LineTroubled(**self._shared(), trouble=trouble))

    def ended(self, outcome: t.CallOutcome, prefetched: PrefetchFigures) -> None:
        """The call is over."""
        length_s = self._clock() - self._began_at
        self._emit(t.CallEnded(**self._shared(), outcome=outcome, length_s=length_s, prefetched=prefetched))

    def _shared(self) -> _Shared:
        labels = self._labels
        return {
            "call_id": labels.call_id,
            "at_s": self._wall_clock(),
            "region": labels.region,
            "agent": labels.agent,
        }
