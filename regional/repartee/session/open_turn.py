"""What another transcriber would have to hear if the call lost its own now: the audio of the open turn.

Bounded: in a longer turn, the words stand for what was sent. While no turn is open it keeps a little, since one may
have begun that recognition has not reported yet, and more if somebody may have spoken and recognition says nothing.
"""

from repartee.audio.pcm import SAMPLE_BYTES, bytes_for_ms, duration_ms
from repartee.audio.recent import RecentAudio
from repartee.audio.speech_end import speech_span
from repartee.providers.interfaces import HEARING_HZ, Hearing
from repartee.turn.events import EndOfTurn, TurnResumed


class OpenTurn:
    """The audio of one call's open turn.

    Lengths of audio: in a turn, before one, and while somebody may have spoken in vain."""

    def __init__(self, *, turn_ms: float, preroll_ms: float, suspect_ms: float) -> None:
        self._turn_bytes = bytes_for_ms(turn_ms, HEARING_HZ)
        self._preroll_bytes = bytes_for_ms(preroll_ms, HEARING_HZ)
        self._suspect_bytes = bytes_for_ms(suspect_ms, HEARING_HZ)
        self._audio = RecentAudio()
        self._whole = True
        self._lost_chars = 0
        self.is_open = False
        self.words = ""
        self.finish_sent = False
        """The transcriber has been asked to end the turn, and has not."""

        self.unheard = False
        """The turn is open, and the transcriber that there is has said nothing of it yet."""

    def sent(self, pcm: bytes, *, suspected: bool) -> None:
        """A piece has gone to recognition."""
        limit = self._preroll_bytes
        if self.is_open:
            limit = self._turn_bytes
            self._whole = self._whole and len(self._audio) + len(pcm) <= limit
        elif suspected:
            limit = self._suspect_bytes
        self._audio.append(pcm, limit)

    def take(self, event: Hearing) -> bool:
        """Recognition has said this. Whether it is more than a transcriber that was lost in mid-turn had said."""
        self.unheard = False
        if isinstance(event, EndOfTurn):
            self.close()
            return True
        self.is_open = True
        if not isinstance(event, TurnResumed):
            self.words = event.text or self.words
        return len(self.words) > self._lost_chars

    def spoken_ms(self) -> float:
        """How long ago, in what was sent, the caller began to speak, as the turn's first word of recognition comes.

        It is looked for in what is kept since the last turn: that much is all of it, if nothing there is audible.
        """
        span = speech_span(b"".join(self._audio.pieces()), HEARING_HZ)
        return duration_ms(len(self._audio) - (span[0] * SAMPLE_BYTES if span else 0), HEARING_HZ)

    def close(self) -> None:
        """The turn is over."""
        self._audio.clear()
        self._whole, self.words, self._lost_chars = True, "", 0
        self.is_open = self.unheard = self.finish_sent = False

    def lost(self) -> bool:
        """The transcriber is gone in mid-turn; whether the next one will hear the turn from its beginning."""
        self.unheard = True
        self._lost_chars = max(self._lost_chars, len(self.words))
        whole, self._whole = self._whole, True
        if not whole:  # its beginning would be missing
            self._audio.clear()
        return whole

    def replay(self) -> list[bytes]:
        """What the next transcriber is to hear first. It is kept anew as it is sent."""
        pieces = list(self._audio.pieces())
        self._audio.clear()
        self.finish_sent = False
        return pieces
