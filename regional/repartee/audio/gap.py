"""A client that sends nothing while its caller is silent: when silence stands in for its audio, and how much. Pure.

Push to talk, gated and DTX microphones and test tools stop sending where a turn ends, and recognition hears a turn's
end only in audio. The silence comes at the pace at which a microphone would send it.
"""

from dataclasses import dataclass

PIECE_MS = 20.0
"""Silence is passed on in pieces of this length, ..."""

CATCH_UP_PIECES = 2
"""... at most so many at once, until it has come as far as a client that sends silence, ..."""

EARLY_MS = 10.0
"""... and so much before that client would have sent them: a look comes up to so much late."""


@dataclass(frozen=True, slots=True)
class GapPolicy:
    """When a client counts as silent."""

    after_ms: float = 60.0
    """So long after the client's last audio, if it sends short pieces."""

    short_ms: float = 60.0
    """A client that sends longer pieces is waited for as long as one of its pieces, and ``slack_ms``."""

    slack_ms: float = 40.0

    longest_ms: float = 1_500.0
    """A longer piece comes from no microphone, and nor do pieces that are so far ahead of time: they are a file, and
    nothing follows."""

    limit_ms: float = 6_000.0
    """After so much silence, recognition is left alone until audio comes again."""


class ClientGap:
    """One client's audio as it comes, and the silence that stands in for it. Times are seconds, lengths ms."""

    __slots__ = ("_ahead_until", "_at", "_begins_at", "_filled_ms", "_policy")

    def __init__(self, policy: GapPolicy | None = None) -> None:
        self._policy = policy or GapPolicy()
        self._at: float | None = None
        self._begins_at = 0.0
        self._ahead_until = 0.0
        self._filled_ms = 0.0

    @property
    def filled_ms(self) -> float:
        """How much silence stands in for the client's latest pause."""
        return self._filled_ms

    def heard(self, length_ms: float, now: float) -> None:
        """Audio has come from the client."""
        policy, length_s = self._policy, length_ms / 1000
        self._at = now
        self._filled_ms = 0.0
        if self._ahead_until > now - length_s:
            self._ahead_until += length_s
        else:
            self._ahead_until = now
        if length_ms <= policy.short_ms:  # nearly all
            self._begins_at = now + policy.after_ms / 1000
            return
        live = length_ms <= policy.longest_ms and (self._ahead_until - now) * 1000 <= policy.longest_ms
        self._begins_at = now + (length_ms + policy.slack_ms if live else policy.after_ms) / 1000

    def look_in_s(self, now: float) -> float:
        """When to ask :meth:`take` next: no gap begins before."""
        if self._at is None or self._is_over(now):
            return self._policy.after_ms / 1000
        due = self._at + (self._filled_ms + PIECE_MS - EARLY_MS) / 1000
        return max(self._begins_at - now, due - now, 0.001)

    def take(self, now: float) -> float:
        """How much silence is to be passed on now; it is taken to be done."""
        if self._at is None or now < self._begins_at or self._is_over(now):
            return 0.0
        behind_ms = (now - self._at) * 1000 + EARLY_MS - self._filled_ms
        pieces = min(int(behind_ms / PIECE_MS + 1e-6), CATCH_UP_PIECES)
        self._filled_ms += pieces * PIECE_MS
        return pieces * PIECE_MS

    def _is_over(self, now: float) -> bool:
        return self._at is not None and (now - self._begins_at) * 1000 >= self._policy.limit_ms
