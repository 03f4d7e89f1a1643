"""A relayed call's audio, both ways: from the client's wire to the provider's and back, and what it tells of time.

Converts nothing where the two wires agree. Knows whose audio it is only as far as the books on turns need it.
"""

import asyncio
import time
from collections.abc import Callable

from repartee.audio.loudness import LoudnessGate
from repartee.audio.pcm import SAMPLE_BYTES, duration_ms, level
from repartee.audio.recent import RecentAudio
from repartee.audio.speech_end import CallerAudio, leading_silence_ms
from repartee.audio.talker import Talker
from repartee.session.outbox import Outbox
from repartee.session.phrases import Recording
from repartee.session.provider_line import Outgoing
from repartee.turn.relayed_turns import News, RelayedTurns
from repartee.wire.audio_format import AudioDecoder, AudioEncoder
from repartee.wire.provider_session import PROVIDER_HZ, provider_format
from repartee.wire.relay_events import AudioDelta, append_audio
from repartee.wire.session_config import SessionConfig

PREROLL_MS = 500.0
"""So much audio is kept while nobody speaks: speech may have begun that the provider has not told of yet."""

UTTERANCE_MS = 15_000.0
"""So much is kept of what the caller says, until it is answered."""

SUSPECT_MS = 8_000.0
"""So much is kept of sound to which the provider has said nothing."""

PIECE_BYTES = 48_000
"""Audio is sent in pieces no longer than this (a second)."""


class RelaySound:
    """One call's. ``hear`` takes the events that hand on the caller's audio, ``news`` what has become of a turn."""

    def __init__(
        self,
        outbox: Outbox,
        turns: RelayedTurns,
        *,
        hear: Callable[[Outgoing], None],
        news: Callable[[list[News]], None],
    ) -> None:
        self._outbox = outbox
        self._turns = turns
        self._hear = hear
        self._news = news
        self._recent = RecentAudio()
        self._encoders: dict[str, AudioEncoder] = {}
        self._places: dict[str, AudioDelta] = {}
        self._received_bytes = 0
        self._gate = LoudnessGate()
        self._quiet_ms = 0.0
        self._use(SessionConfig())

    def _use(self, config: SessionConfig) -> None:
        self._spoken_in, self._spoken_out = config.input_format, config.output_format
        # Only the level of the caller's audio matters here: G.711 is measured at its own rate.
        self._hz = PROVIDER_HZ if config.input_format.encoding == "audio/pcm" else config.input_format.hz
        self._decoder = AudioDecoder(config.input_format, self._hz)
        self._caller = CallerAudio(self._hz)
        self._talker = Talker(self._hz)
        self._as_it_comes = provider_format(config.input_format) == config.input_format
        self._per_ms = provider_format(config.input_format).bytes_per_ms
        out = provider_format(config.output_format)
        self._out, self._out_as_it_comes = out, out == config.output_format

    def configure(self, config: SessionConfig) -> None:
        """From now on audio is as these settings say."""
        if (config.input_format, config.output_format) != (self._spoken_in, self._spoken_out):
            self._use(config)
            self._recent.clear()

    # --- from the caller -----------------------------------------------------------------------------------------

    @property
    def received_ms(self) -> float:
        """How much audio the client has sent."""
        return self._received_bytes / self._spoken_in.bytes_per_ms

    def hear(self, audio: bytes) -> None:
        """Audio of the caller's, in the client's format, goes on at once."""
        pcm = self._decoder.feed(audio)
        self._received_bytes += len(audio)
        self._caller.append(pcm, time.monotonic())
        passed = audio if self._as_it_comes else pcm
        if not passed:
            return
        self._listen(pcm)
        held_ms = SUSPECT_MS if self._talker.suspects else PREROLL_MS
        if self._turns.speaking or self._turns.unanswered:
            held_ms = UTTERANCE_MS
        self._recent.append(passed, int(held_ms * self._per_ms))
        for piece in self._pieces(passed):
            self._hear(piece)

    def _listen(self, pcm: bytes) -> None:
        """Follow whether somebody speaks, and in vain."""
        self._quiet_ms += duration_ms(len(pcm), self._hz)
        if self._gate.is_open(level(pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES])):
            self._quiet_ms = 0.0
        if not self._turns.speaking:
            self._talker.feed(pcm, asyncio.get_running_loop().time())

    @property
    def spoke_at(self) -> float | None:
        """When somebody began to speak to whom the provider has said nothing (s, the loop's time)."""
        return self._talker.spoke_at

    @property
    def suspects(self) -> bool:
        """Somebody may have spoken to whom the provider has said nothing."""
        return self._talker.suspects

    @property
    def quiet_ms(self) -> float:
        """How much audio has come since the last that was louder than the noise."""
        return self._quiet_ms

    def answered(self) -> None:
        """The provider has said something."""
        self._talker.answered()

    def speech_ended_at(self) -> float | None:
        """When the last sample of the caller's speech arrived."""
        return self._caller.speech_ended_at()

    def again(self) -> list[Outgoing]:
        """Events that hand on once more what is kept."""
        return self._pieces(b"".join(self._recent.pieces()))

    def _pieces(self, audio: bytes) -> list[Outgoing]:
        pieces = (audio[at : at + PIECE_BYTES] for at in range(0, len(audio), PIECE_BYTES))
        return [Outgoing(append_audio(piece), len(piece) / self._per_ms) for piece in pieces]

    def forget(self) -> None:
        """What was kept has been answered, or is not wanted."""
        self._recent.clear()

    # --- to the caller -------------------------------------------------------------------------------------------

    def play(self, message: bytes, delta: AudioDelta, *, aside: bool) -> float:
        """The provider's audio goes on to the client; its length in ms. ``aside``: it is no answer."""
        now = time.monotonic()
        length_ms = delta.size / self._out.bytes_per_ms
        if self._out_as_it_comes and not self._outbox.binary:
            self._outbox.put_text(message.decode())
        else:
            self._put(delta, delta.audio())
        if aside:
            self._turns.sent_filler(length_ms, 0.0, now)
        else:
            silent_ms = self._silent_ms(delta.audio(), length_ms) if self._turns.untraced else 0.0
            self._news(self._turns.sent_audio(delta.response_id, delta.item_id, length_ms, silent_ms, now))
        return length_ms

    def play_recording(self, recording: Recording, put: Callable[[bytes], None]) -> None:
        """Something said word for word, while tools run; ``put`` sends its audio."""
        encoder = AudioEncoder(self._spoken_out, PROVIDER_HZ)
        put(encoder.feed(recording.pcm) + encoder.flush())
        length_ms = len(recording.pcm) / 2 / PROVIDER_HZ * 1000
        lead_in_ms = leading_silence_ms(recording.pcm[: PROVIDER_HZ // 2], PROVIDER_HZ)
        self._turns.sent_filler(length_ms, lead_in_ms, time.monotonic())

    def end(self, response_id: str) -> None:
        """A response's audio is complete: send what a resampler still held."""
        encoder, place = self._encoders.pop(response_id, None), self._places.pop(response_id, None)
        if encoder and place and (rest := encoder.flush()):
            self._outbox.put_audio(_event(place) | {"event_id": f"{place.event_id}_end"}, rest)

    def _put(self, delta: AudioDelta, audio: bytes) -> None:
        if not self._out_as_it_comes:
            encoder = self._encoders.get(delta.response_id)
            if encoder is None:
                encoder = self._encoders[delta.response_id] = AudioEncoder(self._spoken_out, PROVIDER_HZ)
                self._places[delta.response_id] = delta
            audio = encoder.feed(audio)
        if audio:
            self._outbox.put_audio(_event(delta), audio)

    def _silent_ms(self, audio: bytes, length_ms: float) -> float:
        pcm = AudioDecoder(self._out, self._out.hz).feed(audio)
        return min(leading_silence_ms(pcm, self._out.hz), length_ms)


def _event(place: AudioDelta) -> dict[str, object]:
    """The event of a piece of audio, without its ``delta``."""
    return {
        "type": "response.output_audio.delta",
        "event_id": place.event_id,
        "response_id": place.response_id,
        "item_id": place.item_id,
        "output_index": place.output_index,
        "content_index": place.content_index,
    }
