"""One call's audio, on its way to the recording: from when the caller knows of it, without what is secret.

Implements :class:`~repartee.transport.recorded.AudioTap`. Each piece of audio costs one frame in a queue.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from repartee.agent.said import Said
from repartee.agent.secret_values import Secrets
from repartee.app.call_audio.consent import SpokenConsent
from repartee.audio.recording_frames import FrameKind, RecordingFrame
from repartee.transport.interfaces import AudioFormats
from repartee.wire.audio_format import WireFormat

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TapUser:
    """Whom a tap serves. ``put`` takes a frame, ``begun`` and ``cancelled`` say that a recording exists or not."""

    put: Callable[[RecordingFrame], None]
    begun: Callable[[], None]
    cancelled: Callable[[], None]
    clock: Callable[[], float]


class CallTap:
    """Taps one call. ``number`` is its recording's, ``told`` what its first frame says; ``spoken``: the caller hears
    of it, or else the client is sent an event."""

    def __init__(self, number: int, told: Mapping[str, Any], user: TapUser, *, spoken: bool) -> None:
        self._number = number
        self._told = dict(told)
        self._user = user
        self._spoken = spoken
        self._consent: SpokenConsent | None = None
        self._say: Callable[[str], None] | None = None
        self._secrets = Secrets()
        self._formats: AudioFormats | None = None
        self._began_at: float | None = None
        self._play_end = 0.0
        self._over = False

    def __repr__(self) -> str:
        return f"<CallTap {self._number}: {'recording' if self._began_at is not None else 'waiting'}>"

    # --- consent -------------------------------------------------------------------------------------------------

    def serve(self, say: Callable[[str], None], secrets: Secrets) -> None:
        """``say`` has the caller hear a text; ``secrets`` are the call's."""
        self._say, self._secrets = say, secrets

    def announce(self, notice: str) -> str:
        """What the caller is to hear first."""
        if not self._spoken or self._over:
            return ""
        self._consent = SpokenConsent(notice)
        return notice

    def said(self, said: Said) -> None:
        """The caller or the agent has said something, or less of it was heard than assumed."""
        consent = self._consent
        now = self._user.clock()
        if consent is None or self._over or (self._began_at is not None and self._began_at < now):
            return
        wanted = consent.said(said, max(self._play_end, now))
        if consent.ends_at is not None:
            if self._began_at is None:
                self._begin(consent.ends_at)
            return
        if self._began_at is not None:
            self._cancel()
        if wanted == "repeat" and self._say:
            self._say(consent.notice)
        elif wanted == "give_up":
            log.warning(
                "call %s: its caller has not heard that it is recorded; not recording it",
                self._told["call_id"],
            )
            self._over = True

    def _cancel(self) -> None:
        self._began_at = None
        self._put(FrameKind.CANCELLED)
        self._user.cancelled()

    def _begin(self, at: float) -> None:
        assert self._formats is not None
        self._began_at = at
        self._user.begun()
        told = {**self._told, **_as_json(self._formats)}
        self._put(FrameKind.BEGUN, msgspec.json.encode(told), at)

    # --- the audio -----------------------------------------------------------------------------------------------

    def opened(self, formats: AudioFormats, signal: Callable[[], bool]) -> None:
        """The session exists."""
        self._formats = formats
        if self._spoken:
            return
        if signal():
            self._begin(self._user.clock())
        else:
            log.warning(
                "call %s: its client takes no repartee.recording.started; not recording it",
                self._told["call_id"],
            )
            self._over = True

    def uses(self, formats: AudioFormats) -> None:
        """Audio has these formats from now on."""
        if formats != self._formats:
            self._formats = formats
            if self._began_at is not None:
                self._put(FrameKind.FORMATS, msgspec.json.encode(_as_json(formats)))

    def heard(self, audio: bytes) -> None:
        """The caller's audio has arrived; what is secret leaves a gap."""
        if self._began_at is not None and not self._secrets.hides_digits:
            self._put(FrameKind.HEARD, audio)

    def sent(self, audio: bytes) -> None:
        """The agent's audio is on its way."""
        if self._formats is None or not audio:
            return
        now = self._user.clock()
        self._play_end = max(self._play_end, now) + len(audio) / self._formats.sink.bytes_per_ms / 1000
        if self._began_at is not None:
            self._put(FrameKind.SENT, audio)

    def cut(self) -> None:
        """What has not been played of it will not be."""
        self._play_end = min(self._play_end, self._user.clock())
        if self._began_at is not None:
            self._put(FrameKind.CUT)

    def ended(self) -> None:
        """The call is over."""
        if self._began_at is not None and not self._over:
            if self._began_at < self._user.clock():
                self._put(FrameKind.ENDED)
            else:
                self._cancel()
        self._over = True

    def _put(self, kind: FrameKind, body: bytes = b"", at: float | None = None) -> None:
        if not self._over:
            when = self._user.clock() if at is None else at
            self._user.put(RecordingFrame(kind, self._number, when, body))


def _as_json(formats: AudioFormats) -> dict[str, Any]:
    def one(wire: WireFormat) -> dict[str, Any]:
        return {"encoding": wire.encoding, "hz": wire.hz}

    return {"source": one(formats.source), "sink": one(formats.sink)}
