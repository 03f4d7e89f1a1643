"""One reply on its way from the model's tokens to the caller's ear.

Owns what becomes of the text (chunks), what becomes of the audio (held until the turn is confirmed, then played)
and the marks on the turn's timeline. Does not know whose turn it is: the machine does.
"""

from collections.abc import Sequence
from typing import Any

from repartee.audio.speech_end import has_sound, leading_silence_ms
from repartee.latency.timeline import Stage, Timeline, TurnTrace
from repartee.turn.chunking import has_words, spoken_length, whole_sentences
from repartee.turn.commands import Command, Play, ReplyWords, Say
from repartee.turn.events import ReplyRequested, SpokenWord
from repartee.turn.foresight import Foreseen
from repartee.turn.hidden_text import HiddenText
from repartee.turn.history import FunctionCall, Message
from repartee.turn.pacing import PacedChunker
from repartee.turn.policy import TurnPolicy
from repartee.turn.speaker import Speaker
from repartee.turn.spoken_form import SpokenForm
from repartee.turn.usage import TokenUsage

SPEECH_HZ = 24_000
"""Sample rate of synthesised speech."""

_BYTES_PER_MS = SPEECH_HZ * 2 / 1000


MAX_REPLY_CHARS = 50_000
"""An answer ends here: three times as much as the most tokens a session may ask for, and an hour of speech."""

MAX_AT_ONCE_CHARS = 1_000_000
"""A token that is longer ends the answer by its length, too: not all of it is even looked at."""

LEAD_IN_MS = 500.0
"""Of an answer that begins with silence so much is sent; more waits for its first sound. The silence of a voice
without sound would be played before the next attempt's words."""


class Reply:
    """The state of one reply.

    ``speculated``: it was begun before its turn was confirmed. ``confirmed`` is False while the turn may still go
    on, or an earlier reply to the same turn is not complete: then nothing of it reaches the caller, and at most
    ``speculative_chunks`` chunks go to the voice.
    """

    def __init__(
        self,
        reply_id: int,
        turn_id: int,
        message: Message,
        policy: TurnPolicy,
        timeline: Timeline | None = None,
        request: ReplyRequested | None = None,
        *,
        speculated: bool = False,
        held: bool = False,
    ) -> None:
        self.reply_id = reply_id
        self.turn_id = turn_id
        self.message = message
        self.request = request
        self.timeline = timeline
        self.speculated = speculated
        self.confirmed = not (speculated or held)
        self.recited = False
        self.in_history = False
        self.audible_at: float | None = None
        self.played_ms = 0.0
        self.model_reason: str | None = None
        self._written = 0
        self.failure: str | None = None
        self.news_at = 0.0
        self.speech_done = not message.spoken
        self.usage_awaited = False
        self.tokens: TokenUsage | None = None
        self.characters = 0
        self.calls: list[FunctionCall] = []
        self.calls_client = False
        self.may_call = True
        self.follows_tools = False
        self.tells: frozenset[str] = frozenset()
        self.apologises = False
        self.urgent = False
        self.resumes = False
        self.foreseen: Sequence[Foreseen] = ()
        self.trace: TurnTrace | None = None
        self._chunker = PacedChunker(policy.chunks)
        self._more = policy.more
        self._hidden = HiddenText()
        self._form = SpokenForm(policy.language, raw=policy.raw)
        self._speculative_chunks = policy.speculative_chunks
        self._unsaid: list[str] = []
        self._said = 0
        self._unheard_length = 0
        self._began = False
        self._ended = False
        self._sounded = False
        self._unannounced: list[str] = []
        self._held: list[bytes] = []
        self._sent_ms = 0.0
        self._silent: list[bytes] = []

    def __repr__(self) -> str:
        kind = "confirmed" if self.confirmed else "speculative"
        return f"<Reply {self.reply_id} to turn {self.turn_id}: {kind}, {self._said} chunks said>"

    @property
    def options(self) -> Any:
        """What the client asked to go to the model with this reply."""
        return self.request.options if self.request else None

    @property
    def written(self) -> bool:
        """The model has finished it."""
        return self.model_reason is not None

    @property
    def over(self) -> bool:
        """All of it has been made and sent, and counted."""
        return self.model_reason is not None and self.speech_done and not self.usage_awaited

    @property
    def audible(self) -> bool:
        """The caller has been sent a sound of it."""
        return self.audible_at is not None

    @property
    def has_audio(self) -> bool:
        """There is speech of it, heard or held."""
        return self.message.audio_ms > 0

    @property
    def said(self) -> bool:
        """Some of it has gone to the voice."""
        return self._said > 0

    @property
    def text(self) -> str:
        """All that has been written of it, spoken or not."""
        return self.message.text + "".join((*self._unannounced, *self._unsaid)) + self._chunker.pending

    @property
    def missing(self) -> str | None:
        """Why nobody can hear anything of it now that it is over; None if somebody can."""
        if self.audible if self.message.spoken else self.message.text.strip():
            return None
        if self.model_reason in ("content_filter", "length"):
            return self.model_reason
        return "no sound" if self._said else "no words"

    def ms_since_speech(self, at: float) -> float | None:
        """How long after the caller's last sample of speech this is; None if that is not known."""
        return round((at - self.timeline.starts_at) * 1000, 3) if self.timeline else None

    def time_left(self) -> Timeline | None:
        """The turn's time so far, for a reply that follows; None if this one has been audible."""
        return self.timeline.copy() if self.timeline and self.trace is None else None

    def take_text(self, text: str, now: float) -> list[Command]:
        """Tokens from the model. What comes after its end is dropped; one that is too long ends by its length."""
        if self.model_reason is not None:
            return []
        endless = len(text) > MAX_AT_ONCE_CHARS
        text = self._hidden.feed(text[:MAX_AT_ONCE_CHARS])
        if not (text or endless):
            return []
        room = MAX_REPLY_CHARS - self._written
        self._written += len(text)
        commands = self._take_text(text[:room], now) if text else []
        if endless or len(text) > room:
            commands += self.finish_text("length", now)
        return commands

    def _take_text(self, text: str, now: float) -> list[Command]:
        if not self._began:
            self._began = True
            self._mark("llm", now)
        if not self.message.spoken:
            self.news_at = now
            self._unannounced.append(text)
            return self._announce()
        self._unsaid += self._chunker.feed(text, now)
        return self._speak(now)

    @property
    def chunk_due(self) -> float | None:
        """When to :meth:`hurry` if nothing happens before."""
        return self._chunker.due if self.model_reason is None else None

    def hurry(self, now: float) -> list[Command]:
        """Time has passed: what can wait no longer goes to the voice."""
        if self.model_reason is not None:
            return []
        self._unsaid += self._chunker.hurry(now)
        return self._speak(now)

    def recite(self, text: str) -> list[Command]:
        """Words of our own, all of them and in one piece; no model is asked."""
        self.recited = True
        self.model_reason = "stop"
        self._unannounced.append(text)
        if not self.message.spoken or not has_words(text):
            self.speech_done = True
            return self._announce()
        self._said = 1
        self._ended = True
        return [*self._announce(), Say(self.reply_id, self._form.say(text), last=True, urgent=self.urgent)]

    def take_call(self, call: FunctionCall, now: float) -> list[Command]:
        """The model asks for a tool; the words before it are complete."""
        self.calls.append(call)
        if not self._began:
            self._began = True
            self._mark("llm", now)
        return self._flush(now)

    def finish_text(self, reason: str, now: float) -> list[Command]:
        """The model has finished."""
        if self.model_reason is not None:
            return []
        held = self._hidden.finish()
        commands = self._take_text(held, now) if held else []
        self.model_reason = reason
        self.message.filtered = reason == "content_filter"
        if reason == "length" and self.message.spoken and has_words(self.text):
            self._end_short()
        return commands + self._flush(now)

    def _end_short(self) -> None:
        """Too long: end with the last whole sentence, if there is one to end with, and say that there is more."""
        rest = "".join(self._unsaid) + self._chunker.finish()
        whole = whole_sentences(rest)
        if not whole and not self._said:
            whole = rest
        self._unsaid = [whole] if has_words(whole) else []
        if self._more:
            self._unsaid.append(f" {self._more}")

    def break_off(self, now: float) -> list[Command]:
        """The model has failed: the voice gets no more than the pieces that were complete."""
        self.usage_awaited = False
        self.model_reason = self.model_reason or "stop"
        return self._speak(now)

    def give_up(self) -> None:
        """Nothing more of it will come: the caller hears no more than what was sent."""
        self.usage_awaited = False
        self.model_reason = self.model_reason or "stop"
        self.speech_done = True
        self._unsaid.clear()
        self._held.clear()
        if self.message.spoken:
            self.message.heard_ms = self.message.audio_ms if self.audible else 0.0

    def take_words(self, words: Sequence[SpokenWord]) -> None:
        """When words are spoken: noted as they were written."""
        self.message.words.extend(self._form.as_written(words))

    def take_audio(self, pcm: bytes, speaker: Speaker, now: float) -> list[Command]:
        """Speech from the voice."""
        if not pcm:
            return []
        if not self.message.audio_ms:
            self._mark("tts", now)
        self.message.audio_ms += len(pcm) / _BYTES_PER_MS
        if not self.confirmed:
            self._held.append(pcm)
            return []
        return self._play(pcm, speaker, now)

    def confirm(self, speaker: Speaker, now: float) -> list[Command]:
        """The turn it answers has ended: what was held goes out."""
        self.confirmed = True
        commands = self._announce()
        commands += self._speak(now)
        if self._held:
            self._mark("hold", now)
        for pcm in self._held:
            commands += self._play(pcm, speaker, now)
        self._held.clear()
        return commands

    def _flush(self, now: float) -> list[Command]:
        """Speak what the chunker still holds; marks alone are not worth a breath."""
        if not self.message.spoken:
            return []
        rest = self._chunker.finish()
        if has_words(rest):
            self._unsaid.append(rest)
        elif self._unsaid:
            self._unsaid[-1] += rest
        elif self._said:
            self._unannounced.append(rest)
        if self.model_reason is not None and not self._unsaid and not self._said:
            self.speech_done = True
        return self._announce() + self._speak(now)

    def _speak(self, now: float) -> list[Command]:
        """Give the voice what it may have by now."""
        commands: list[Command] = []
        while self._unsaid and (self.confirmed or self._said < self._speculative_chunks):
            chunk = self._unsaid.pop(0)
            if not self._said:
                self._mark("chunk", now)
            self._said += 1
            self._unheard_length += spoken_length(chunk)
            self._unannounced.append(chunk)
            commands += self._announce()
            commands.append(Say(self.reply_id, self._form.say(chunk), last=self._ends_here()))
        if self.confirmed and self._unheard_length:
            self._chunker.speaking(self._unheard_length, now)
            self._unheard_length = 0
        if self._said and self._ends_here():
            commands.append(Say(self.reply_id, "", last=True))
        return commands

    def _ends_here(self) -> bool:
        """Whether the utterance is to end now; true once."""
        if self._ended or self.model_reason is None or self._unsaid:
            return False
        self._ended = True
        return True

    def _announce(self) -> list[Command]:
        """Tell of the text that goes to the voice, once the caller may know of it."""
        if not self.confirmed:
            return []
        texts, self._unannounced = self._unannounced, []
        self.message.text += "".join(texts)
        return [ReplyWords(self.reply_id, text) for text in texts if text]

    def _play(self, pcm: bytes, speaker: Speaker, now: float) -> list[Command]:
        length_ms = len(pcm) / _BYTES_PER_MS
        sounds = has_sound(pcm)
        if not self.audible and self._sent_ms >= LEAD_IN_MS:
            self._silent.append(pcm)
            if not sounds:
                return []
            held, self._silent = self._silent, []
            pcm = b"".join(held)
            length_ms = len(pcm) / _BYTES_PER_MS
        starts_at = speaker.play(self.reply_id, length_ms, now, audible=sounds)
        self._sent_ms += length_ms
        if sounds or self.message.sound_ms is None:
            self.message.sound_ms = self._sent_ms if sounds else 0.0
        if not self._sounded and starts_at > now:
            self._mark("filler", starts_at)
        self._sounded = True
        if not self.audible and (silence_ms := leading_silence_ms(pcm, SPEECH_HZ)) < length_ms:
            self.audible_at = starts_at + silence_ms / 1000
            self._mark("lead_in", self.audible_at)
            self.trace = self._traced()
        return [Play(self.reply_id, pcm)]

    def _mark(self, stage: Stage, at: float) -> None:
        """Mark the turn's timeline, up to the answer's first audible sample."""
        if self.timeline and self.trace is None:
            self.timeline.mark(stage, at)

    def _traced(self) -> TurnTrace | None:
        if self.timeline is None:
            return None
        return TurnTrace(
            self.turn_id,
            self.reply_id,
            round(self.timeline.total_ms, 3),
            self.timeline.stages_ms(),
            self.speculated,
            speech_end_certain=self.timeline.certain,
        )
