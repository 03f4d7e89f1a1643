"""What the calls of a worker on a cascade share."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from repartee.agent.experience import Experience, Transition
from repartee.providers.fallback_llm import FallbackLLM
from repartee.providers.fallback_stt import FallbackSTT
from repartee.providers.fallback_tts import FallbackTTS
from repartee.providers.heard_format import Decodes, decoder_for, heard_as_it_came, usual_decoder
from repartee.providers.interfaces import LLM, STT, TTS
from repartee.providers.lineup import NamingNotes
from repartee.session.hearing_policy import HearingPolicy
from repartee.session.phrases import Phrases
from repartee.turn.context_window import CONTEXT_TOKENS
from repartee.turn.policy import TurnPolicy
from repartee.turn.speculation_budget import SPECULATION_TOKENS
from repartee.wire.audio_format import WireFormat


async def forget(taught: Iterable[Transition]) -> None:
    """Keep nothing of what a call has taught."""


@dataclass(frozen=True, slots=True)
class CascadeResources:
    """What the calls of a worker share: the providers, their names in traces, and what is known beforehand."""

    stt: STT
    llm: LLM
    tts: TTS
    names: Mapping[str, str]
    phrases: Phrases
    experience: Experience
    learn: Callable[[Iterable[Transition]], Awaitable[None]] = forget
    """Takes what a call has taught; must not raise."""
    policy: TurnPolicy = field(default_factory=TurnPolicy)
    """How turns are taken, but for what a session says of it."""
    hearing: HearingPolicy = field(default_factory=HearingPolicy)
    """How speech recognition is kept, and when the agent says that it is away."""
    context_tokens: int = CONTEXT_TOKENS
    """How much of a conversation the model is shown (estimated)."""
    speculation_tokens: int = SPECULATION_TOKENS
    """How much a call may spend on replies begun too early (estimated)."""

    narrow_hearing: bool = True
    """A telephone's audio is sent to speech recognition as narrow as it came."""

    def heard_from(self, source: WireFormat | None) -> tuple[STT, Callable[[WireFormat], Decodes]]:
        """Speech recognition, and what brings audio into it, for a caller whose audio comes so for the whole call;
        None: it may change."""
        if source is None or not self.narrow_hearing:
            return self.stt, usual_decoder
        return heard_as_it_came(self.stt, source), partial(decoder_for, self.stt)

    def for_call(self, notes: NamingNotes) -> "CascadeResources":
        """The same for one call: of several vendors, its own view, which tells ``notes`` who serves it."""
        return replace(
            self,
            names=notes.names,
            stt=self.stt.for_call(notes) if isinstance(self.stt, FallbackSTT) else self.stt,
            llm=self.llm.for_call(notes) if isinstance(self.llm, FallbackLLM) else self.llm,
            tts=self.tts.for_call(notes) if isinstance(self.tts, FallbackTTS) else self.tts,
        )
