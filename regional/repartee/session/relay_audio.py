"""A relayed call's audio, both ways: from the client's wire to the provider's and back.

Converts nothing where the two wires agree, and keeps what the caller says until it is answered. Decides nothing.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from repartee.audio.loudness import LoudnessGate
from repartee.audio.pcm import SAMPLE_BYTES, duration_ms, level
from repartee.audio.recent import RecentAudio
from repartee.audio.speech_end import CallerAudio, SpeechEnd, leading_silence_ms
from repartee.audio.talker import Talker
from repartee.session.phrases import Recording
from repartee.session.provider_line import Outgoing
from repartee.transport.interfaces import AudioFormats, RealtimeTransport
from repartee.wire.audio_format import AudioDecoder, AudioEncoder
from repartee.wire.provider_session import PROVIDER_HZ, provider_format
from repartee.wire.relay_events import AudioDelta, append_audio
from repartee.wire.session_settings import SessionSettings

PREROLL_MS = 500.0
"""So much audio is kept while nobody speaks: speech may have begun that the provider has not told of yet."""

UTTERANCE_MS = 15_000.0
"""So much is kept of what the caller says, until it is answered."""

SUSPECT_MS = 8_000.0
"""So much is kept of sound to which the provider has said nothing."""

PIECE_BYTES = 48_000
"""Audio is sent in pieces no longer than this (a second)."""


class RelayAudio:
    """One relayed call's audio. ``send`` takes the events that hand on the caller's audio; ``speaking`` says
    whether the caller is known to speak, ``keeps_utterance`` whether what they say may have to be sent again."""

    def __init__(
        self,
        transport: RealtimeTransport,
        *,
        send: Callable[[Outgoing], None],
        speaking: Callable[[], bool],
        keeps_utterance: Callable[[], bool],
    ) -> None:
        self._transport = transport
        self._send = send
        self._speaking = speaking
        self._keeps_utterance = keeps_utterance
        self._gate = LoudnessGate()
        self._quiet_ms = 0.0
        self._recent = RecentAudio()
        self._encoders: dict[str, AudioEncoder] = {}
        self._places: dict[str, AudioDelta] = {}
        self._received_bytes = 0
        self._use(_formats(SessionSettings()))

    def _use(self, formats: AudioFormats) -> None:
        self._formats = formats
        source, sink = formats.source, formats.sink
        # Only the level of the caller's audio matters here: G.711 is measured at its own rate.
        self._hz = PROVIDER_HZ if source.encoding == "audio/pcm" else source.hz
        self._decoder = AudioDecoder(source, self._hz)
        self._caller = CallerAudio(self._hz)
        self._talker = Talker(self._hz)
        self._as_it_comes = provider_format(source) == source
        self._per_ms = provider_format(source).bytes_per_ms
        self._out = provider_format(sink)
        self._out_as_it_comes = self._out == sink

    def configure(self, settings: SessionSettings) -> None:
        """From now on audio is as these settings say; they hold what the client's connection fixes."""
        if (formats := _formats(settings)) != self._formats:
            self._use(formats)
            self._recent.clear()

    # --- from the caller -----------------------------------------------------------------------------------------

    @property
    def received_ms(self) -> float:
        """How much audio the client has sent."""
        return self._received_bytes / self._formats.source.bytes_per_ms

    def hear(self, audio: bytes) -> None:
        """The caller's audio, in the client's format, goes on at once."""
        pcm = self._decoder.feed(audio)
        self._received_bytes += len(audio)
        self._caller.append(pcm, time.monotonic())
        passed = audio if self._as_it_comes else pcm
        if not passed:
            return
        self._listen(pcm)
        held_ms = SUSPECT_MS if self._talker.suspects else PREROLL_MS
        if self._keeps_utterance():
            held_ms = UTTERANCE_MS
        self._recent.append(passed, int(held_ms * self._per_ms))
        for piece in self._pieces(passed):
            self._send(piece)

    def _listen(self, pcm: bytes) -> None:
        """Follow whether somebody speaks, and in vain."""
        self._quiet_ms += duration_ms(len(pcm), self._hz)
        if self._gate.is_open(level(pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES])):
            self._quiet_ms = 0.0
        if not self._speaking():
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

    def speech_end(self) -> SpeechEnd | None:
        """When the last sample of the caller's speech arrived."""
        return self._caller.speech_end()

    def kept(self) -> list[Outgoing]:
        """Events that hand on once more what is kept."""
        return self._pieces(b"".join(self._recent.pieces()))

    def _pieces(self, audio: bytes) -> list[Outgoing]:
        pieces = (audio[at : at + PIECE_BYTES] for at in range(0, len(audio), PIECE_BYTES))
        return [Outgoing(append_audio(piece), len(piece) / self._per_ms) for piece in pieces]

    def forget(self) -> None:
        """What was kept has been answered, or is not wanted."""
        self._recent.clear()

    # --- to the caller -------------------------------------------------------------------------------------------

    def length_ms(self, delta: AudioDelta) -> float:
        """The length of a piece of the provider's audio."""
        return delta.size / self._out.bytes_per_ms

    def silent_ms(self, delta: AudioDelta) -> float:
        """How much silence it begins with."""
        pcm = AudioDecoder(self._out, self._out.hz).feed(delta.audio())
        return min(leading_silence_ms(pcm, self._out.hz), self.length_ms(delta))

    def play(self, delta: AudioDelta, source: bytes) -> None:
        """The provider's audio goes on to the client."""
        if self._out_as_it_comes and self._transport.passes_audio:
            self._transport.pass_on(source.decode())
            return
        audio = delta.audio()
        if not self._out_as_it_comes:
            encoder = self._encoders.get(delta.response_id)
            if encoder is None:
                encoder = self._encoders[delta.response_id] = AudioEncoder(self._formats.sink, PROVIDER_HZ)
                self._places[delta.response_id] = delta
            audio = encoder.feed(audio)
        self._transport.play_as(delta, audio)

    def play_recording(self, reply_id: int, recording: Recording) -> None:
        """Something said word for word."""
        encoder = AudioEncoder(self._formats.sink, PROVIDER_HZ)
        self._transport.play(reply_id, encoder.feed(recording.pcm) + encoder.flush())

    def end(self, response_id: str) -> None:
        """A response's audio is complete: send what a resampler still held."""
        encoder, place = self._encoders.pop(response_id, None), self._places.pop(response_id, None)
        if encoder and place and (rest := encoder.flush()):
            self._transport.play_as(msgspec.structs.replace(place, event_id=f"{place.event_id}_end"), rest)
        self._transport.end_sound(response_id)


def _formats(settings: SessionSettings) -> AudioFormats:
    return AudioFormats(settings.input_format, settings.output_format)
