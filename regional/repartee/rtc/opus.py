"""Opus by libopus, at 24 kHz mono: decoded and encoded at the rate that the voice and recognition have.

libopus converts between its inner rate and any of 8, 12, 16, 24 and 48 kHz, whatever the other side uses, so nothing
is resampled. The library is handed in, already loaded. Pure: no files, no environment.
"""

import ctypes
from dataclasses import dataclass
from typing import Any, Final

RATE_HZ: Final = 24_000
SAMPLE_BYTES: Final = 2
MAX_FRAME_MS: Final = 120
MAX_PACKET_BYTES: Final = 1_275
"""The longest that one Opus frame can be (RFC 6716)."""

VOICE: Final = 2048
LOW_DELAY: Final = 2051

_SET_BITRATE = 4002
_SET_COMPLEXITY = 4010
_SET_INBAND_FEC = 4012
_SET_LOSS_PERCENT = 4014
_RESET = 4028


class OpusFault(Exception):
    """libopus refuses: it cannot be used, or an argument is wrong."""


class OpusLibrary:
    """A loaded libopus. Raises OpusFault if it is none."""

    def __init__(self, loaded: ctypes.CDLL) -> None:
        pointer, integer, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
        try:
            self.create_encoder = _function(
                loaded, "opus_encoder_create", pointer, integer, integer, integer, pointer
            )
            self.destroy_encoder = _function(loaded, "opus_encoder_destroy", None, pointer)
            self.encode = _function(
                loaded, "opus_encode", integer, pointer, text, integer, text, ctypes.c_int32
            )
            # Its last argument is variadic in C, which some calling conventions treat apart: so it has no argtypes.
            self.control = loaded.opus_encoder_ctl
            self.control.restype = integer
            self.create_decoder = _function(loaded, "opus_decoder_create", pointer, integer, integer, pointer)
            self.destroy_decoder = _function(loaded, "opus_decoder_destroy", None, pointer)
            self.decode = _function(
                loaded, "opus_decode", integer, pointer, text, ctypes.c_int32, text, integer, integer
            )
            self.version = _function(loaded, "opus_get_version_string", text)().decode()
        except AttributeError as error:
            raise OpusFault(f"this library is no libopus: {error}") from None

    def __repr__(self) -> str:
        return f"<OpusLibrary {self.version}>"


def _function(loaded: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(loaded, name)
    function.restype = result
    function.argtypes = arguments
    return function


@dataclass(frozen=True, slots=True)
class OpusSettings:
    """How speech is encoded. Bits a second; ``complexity`` from 0 (cheapest) to 10; ``low_delay`` saves 4 ms of
    look-ahead, for a voice that sounds as well only from 32 kb/s on."""

    bitrate: int = 32_000
    complexity: int = 5
    low_delay: bool = False


class OpusEncoder:
    """One stream, PCM16 at 24 kHz in; mono, unless there are two ``channels``, interleaved."""

    def __init__(self, library: OpusLibrary, settings: OpusSettings, channels: int = 1) -> None:
        self._library = library
        self._frame_bytes = SAMPLE_BYTES * channels
        error = ctypes.c_int()
        application = LOW_DELAY if settings.low_delay else VOICE
        self._state = ctypes.c_void_p(
            library.create_encoder(RATE_HZ, channels, application, ctypes.byref(error))
        )
        if error.value or not self._state:
            raise OpusFault(f"libopus makes no encoder ({error.value})")
        self._out = ctypes.create_string_buffer(MAX_PACKET_BYTES)
        self._set(_SET_BITRATE, settings.bitrate)
        self._set(_SET_COMPLEXITY, settings.complexity)
        self.loss_percent = 0

    def __del__(self) -> None:
        if getattr(self, "_state", None):
            self._library.destroy_encoder(self._state)

    def encode(self, pcm: bytes) -> bytes:
        """A frame of 10, 20, 40 or 60 ms. Raises OpusFault for another length."""
        size = self._library.encode(
            self._state, pcm, len(pcm) // self._frame_bytes, self._out, MAX_PACKET_BYTES
        )
        if size < 0:
            raise OpusFault(f"libopus does not encode {len(pcm)} bytes ({size})")
        return ctypes.string_at(self._out, size)

    def expect_loss(self, percent: int) -> None:
        """So many packets are lost: from 1 % on, each packet has a poor copy of the one before in it (FEC)."""
        if percent == self.loss_percent:
            return
        if bool(percent) != bool(self.loss_percent):
            self._set(_SET_INBAND_FEC, int(percent > 0))
        self._set(_SET_LOSS_PERCENT, percent)
        self.loss_percent = percent

    def reset(self) -> None:
        """Forget the sound so far: what follows does not go on from it."""
        self._library.control(self._state, _RESET)

    def _set(self, what: int, value: int) -> None:
        if code := self._library.control(self._state, what, ctypes.c_int(value)):
            raise OpusFault(f"libopus does not take the setting {what} = {value} ({code})")


class OpusDecoder:
    """One stream, mono PCM16 at 24 kHz out, whatever the other side encoded."""

    def __init__(self, library: OpusLibrary) -> None:
        self._library = library
        error = ctypes.c_int()
        self._state = ctypes.c_void_p(library.create_decoder(RATE_HZ, 1, ctypes.byref(error)))
        if error.value or not self._state:
            raise OpusFault(f"libopus makes no decoder ({error.value})")
        self._most = RATE_HZ * MAX_FRAME_MS // 1000
        self._out = ctypes.create_string_buffer(self._most * SAMPLE_BYTES)
        self._frame = RATE_HZ // 50
        self.faults = 0

    def __del__(self) -> None:
        if getattr(self, "_state", None):
            self._library.destroy_decoder(self._state)

    def decode(self, payload: bytes) -> bytes:
        """A packet's audio. One that cannot be decoded is concealed."""
        if not payload:
            return self.conceal()
        samples = self._library.decode(self._state, payload, len(payload), self._out, self._most, 0)
        if samples <= 0:
            self.faults += 1
            return self.conceal()
        self._frame = samples
        return ctypes.string_at(self._out, samples * SAMPLE_BYTES)

    def recover(self, following: bytes) -> bytes:
        """A lost packet's audio, from the poor copy in the packet after it; concealed if that has none."""
        return self._made(following, 1) if following else self.conceal()

    def conceal(self) -> bytes:
        """A lost packet's audio, guessed from the sound before it; as long as the last packet's."""
        return self._made(None, 0)

    def _made(self, payload: bytes | None, fec: int) -> bytes:
        size = len(payload) if payload else 0
        samples = self._library.decode(self._state, payload, size, self._out, self._frame, fec)
        if samples <= 0:
            self.faults += 1
            return bytes(self._frame * SAMPLE_BYTES)
        return ctypes.string_at(self._out, samples * SAMPLE_BYTES)
