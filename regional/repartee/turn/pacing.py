"""Cuts one reply's text in time: when a piece can wait no longer for the boundary that would sound best.

Two clocks press. Before the first piece, the caller hears nothing: it waits for a boundary until ``first_wait_ms``
after the first token. After it, the caller hears what the voice has got: the next piece must come before that runs
out. If neither presses, pieces end where :mod:`~repartee.turn.chunking` says. Times are seconds.
"""

from repartee.turn.chunking import Chunker, ChunkPolicy, spoken_length

_NEXT_PIECE = 2.0
"""How many times the least length the second piece should have when the first has been spoken."""


class PacedChunker:
    """One reply's text, in tokens and out in chunks, each by the time it is needed.

    ``due`` is when :meth:`hurry` is to be called if nothing happens before (None: never).
    """

    def __init__(self, policy: ChunkPolicy) -> None:
        self.due: float | None = None
        self._policy = policy
        self._chunker = Chunker(policy)
        self._least_chars = max(policy.early_chars, policy.first_clause_chars)
        self._stall_s = policy.stall_ms / 1000
        self._began_at: float | None = None
        self._first_length = 0
        self._token_at = 0.0
        self._has_stalled = False
        self._spoken_until: float | None = None

    @property
    def pending(self) -> str:
        """The text that is in no chunk yet."""
        return self._chunker.pending

    def feed(self, text: str, now: float) -> list[str]:
        """Take tokens; return the chunks to speak, in order."""
        if self._began_at is None:
            self._began_at = now
            self._first_length = spoken_length(text)
        elif now - self._token_at >= self._stall_s:
            self._has_stalled = True
        self._token_at = now
        pieces = self._chunker.feed(text)
        if pieces:
            self.due = None  # the next is due by when these have been spoken, and when that is shows when they go out
            return pieces
        return self._press(now)

    def hurry(self, now: float) -> list[str]:
        """Time has passed; return the chunk that can wait no longer."""
        return [] if self.due is None or now < self.due else self._press(now)

    def speaking(self, length: int, now: float) -> None:
        """So much (as :func:`~repartee.turn.chunking.spoken_length` has it) goes to the caller from now on."""
        begins_at = max(now, self._spoken_until or now)
        self._spoken_until = begins_at + length / self._policy.speech_chars_per_s
        self.due = self._spoken_until if self._policy.paced and self._chunker.pending else None

    def finish(self) -> str:
        """What is left (perhaps nothing); the text that follows begins a new piece."""
        self.due = None
        return self._chunker.finish()

    def _press(self, now: float) -> list[str]:
        """Cut between words if no time is left; else say until when there is."""
        self.due = None
        limit = self._limit()
        if limit is None or not self._policy.paced or not self._chunker.pending:
            return []
        if now < limit:
            self.due = limit
            return []
        stalled_at = self._token_at + self._stall_s
        stalled = now >= stalled_at
        least_chars = self._policy.first_clause_chars if stalled else self._wanted()
        piece = self._chunker.cut_early(least_chars, anywhere=stalled)
        if piece is not None:
            return [piece]
        self.due = None if stalled else stalled_at
        return []

    def _limit(self) -> float | None:
        """Until when a boundary is waited for; None while nothing that was handed over is on its way to be heard."""
        if self._chunker.begun or self._began_at is None:
            return self._spoken_until
        return self._began_at + self._policy.first_wait_ms / 1000

    def _wanted(self) -> float:
        """How long a piece is to be, so that the next is there before it has been spoken.

        Only a first piece from a model hardly faster than speech is longer for that. For one slower than speech no
        length is enough, so it is no reason to keep the caller waiting on; nor is one that stalls once.
        """
        elapsed = self._token_at - (self._began_at or 0.0)
        if self._chunker.begun or self._has_stalled or elapsed <= 0:
            return self._least_chars
        written = (spoken_length(self._chunker.pending) - self._first_length) / elapsed
        needed = _NEXT_PIECE * self._policy.speech_chars_per_s / max(written, self._policy.speech_chars_per_s)
        return self._least_chars * max(1.0, needed)
