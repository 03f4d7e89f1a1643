"""The caller's audio as it was spoken: pieces in their order, and silence at once where some were lost. Pure."""

from repartee.transport.telephone.framing import AudioReceived
from repartee.transport.telephone.pacer import silence_for
from repartee.wire.audio_format import WireFormat

MOST_FILL_MS = 2_000.0
"""A longer gap is no loss: the stream goes on after it."""

REORDER = 3
"""So many pieces wait for one that may still come, where a carrier promises no order."""

LATE_IN_A_ROW = 50
"""So many pieces that all come too late are not late: the carrier counts anew."""


class CallerStream:
    """One stream, inwards. ``sorts``: pieces may come in another order than that of their numbers."""

    def __init__(self, format_: WireFormat, *, sorts: bool = False) -> None:
        self._format = format_
        self._sorts = sorts
        self._early: dict[int, AudioReceived] = {}
        self._next_chunk: int | None = None
        self._next_ms: float | None = None
        self._late = 0
        self.filled_ms = 0.0

    def take(self, piece: AudioReceived) -> list[bytes]:
        """What can be heard now, in order."""
        if not self._sorts or piece.chunk is None:
            return self._placed(piece)
        if self._next_chunk is None:
            self._next_chunk = piece.chunk
        if piece.chunk < self._next_chunk:
            self._late += 1
            if self._late < LATE_IN_A_ROW:
                return []  # silence has been heard in its place
            self._next_chunk, self._next_ms = piece.chunk, None
            self._early.clear()
        self._late = 0
        self._early[piece.chunk] = piece
        out: list[bytes] = []
        while self._early:
            if self._next_chunk in self._early:
                out += self._placed(self._early.pop(self._next_chunk))
                self._next_chunk += 1
            elif len(self._early) > REORDER:
                self._next_chunk = min(self._early)
            else:
                break
        return out

    def _placed(self, piece: AudioReceived) -> list[bytes]:
        length_ms = len(piece.audio) / self._format.bytes_per_ms
        missing_ms = self._missing_ms(piece, length_ms)
        if piece.at_ms is not None:
            self._next_ms = max(piece.at_ms + length_ms, self._next_ms or 0.0)
        elif piece.chunk is not None and not self._sorts:
            self._next_chunk = max(piece.chunk + 1, self._next_chunk or 0)
        if not missing_ms:
            return [piece.audio]
        self.filled_ms += missing_ms
        return [silence_for(self._format, missing_ms), piece.audio]

    def _missing_ms(self, piece: AudioReceived, length_ms: float) -> float:
        """How much is missing before this piece. Timestamps that are off by less than a piece are no loss."""
        if piece.at_ms is not None:
            gap_ms = 0.0 if self._next_ms is None else piece.at_ms - self._next_ms
        elif piece.chunk is not None and not self._sorts and self._next_chunk is not None:
            gap_ms = (piece.chunk - self._next_chunk) * length_ms
        else:
            return 0.0
        return gap_ms if length_ms / 2 < gap_ms <= MOST_FILL_MS else 0.0
