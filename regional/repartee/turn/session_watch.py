"""Is a provider's session lost, may another replace it, and when does the agent tell the caller? One decision for
both kinds of call.

A *session* is what hears the caller: a recogniser's stream, or a speech-to-speech model's session. It is away while
there is none; it is silent while one is there that says nothing to what it must answer. Pure: times are seconds on
any monotonic clock and come in as ``now``; the shells (session/hearing, session/provider_line) carry the verdicts
out.

A session earns trust by service: a turn that it has ended with words, or an answer that it has completed. One event
proves nothing: we would dial for ever a recogniser that says "start of turn" and then stalls.
"""

from dataclasses import dataclass
from enum import Enum

from repartee.latency.backoff import backoff_s


class Verdict(Enum):
    """What to do now."""

    KEEP = "keep"
    """Nothing."""

    EXCHANGE = "exchange"
    """The session is lost: close it, and open another."""

    TELL = "tell"
    """Tell the caller, by voice, that they are not heard; the call goes on."""

    END = "end"
    """End the call, in words."""


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """Durations are seconds. Raises ValueError for what cannot work."""

    silent_s: float = 5.0
    """A session that owes an answer and says nothing for so long is lost."""

    exchange_every_s: float = 30.0
    """A silent session is replaced at most once in so long."""

    exchanges: int = 3
    """So many silent sessions are replaced before the call ends; a session that serves restores them."""

    away_s: float = 10.0
    """So long without a session ends the call: that much of the caller's audio is kept."""

    last_try_s: float = 0.5
    """The last attempt is made so long after that, as a session may be back at the last moment; and it may take as
    long."""

    tell_after_s: float = 6.5
    """So long without a session, or unheard by one after the other, and the agent says so; the phrase is heard by
    8 s."""

    company_s: float = 8.0
    """Who has been told, and is still not heard, hears a word so often: nobody waits in silence."""

    notices: int = 2
    """So often is the caller told. A session that is silent after that ends the call, in words, in place of a third
    notice; one that serves restores them."""

    young_s: float = 5.0
    """A connection that is lost sooner counts as one that could not be opened."""

    backoff_first_s: float = 0.2
    """The wait before the third attempt in a row, as the second is made at once; doubled for each that follows."""

    backoff_most_s: float = 0.5

    def __post_init__(self) -> None:
        if min(self.silent_s, self.exchange_every_s, self.away_s, self.backoff_most_s) <= 0:
            raise ValueError("silent_s, exchange_every_s, away_s and backoff_most_s must be above 0")
        if min(self.exchanges, self.notices, self.backoff_first_s) < 0:
            raise ValueError("exchanges, notices and backoff_first_s must not be negative")


class SessionWatch:
    """Watches over the sessions of one call. It begins without a session, at ``now``."""

    def __init__(self, policy: WatchPolicy, now: float) -> None:
        self._policy = policy
        self._away_since: float | None = now
        self._opened_at: float | None = None
        self._failures = 0
        self._failed_at = now
        self._told = False
        self._spoken_to_at: float | None = None
        """When the caller last heard that they are not heard, or a word since, while that goes on."""
        self._exchanges_left = policy.exchanges
        self._notices_left = policy.notices
        self._exchanged_at: float | None = None
        self._owed_since: float | None = None
        self._unheard_since: float | None = None
        """Since when a caller has not been heard by a session that was lost; they do not care how many there were."""
        self._told_of_trouble = False

    def __repr__(self) -> str:
        state = "away" if self._opened_at is None else "open"
        return f"<SessionWatch: {state}, {self._failures} failures, {self._exchanges_left} exchanges left>"

    @property
    def away(self) -> bool:
        """There is no session."""
        return self._opened_at is None

    # --- what happens --------------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """A session is there. Whether it is any good shows later, if those before it were not."""
        self._opened_at = now
        if not self._failures:
            self._away_since = None

    def served(self, now: float) -> None:
        """The session has done what it is there for."""
        self._trust()
        self.progressed()
        self._exchanges_left = self._policy.exchanges
        self._notices_left = self._policy.notices
        self._told_of_trouble = False

    def progressed(self) -> None:
        """The session has heard more of the caller than the one before it."""
        self._unheard_since = self._spoken_to_at = None

    def lost(self, now: float) -> None:
        """The session's connection has ended, or was closed to be replaced."""
        opened_at, self._opened_at = self._opened_at, None
        if opened_at is not None and now - opened_at >= self._policy.young_s:
            self._trust()
        else:
            self._failures += 1
        if self._away_since is None:
            self._away_since = now
        if self._unheard_since is None and not self._told_of_trouble:
            self._unheard_since = self._owed_since
        self._owed_since = None

    def failed(self, now: float) -> None:
        """No session could be opened."""
        self._failures += 1
        self._failed_at = now

    def _trust(self) -> None:
        self._away_since = None
        self._failures = 0
        self._told = False

    # --- what follows --------------------------------------------------------------------------------------------

    @property
    def retry_in_s(self) -> float:
        """How long to wait before the next attempt to open a session."""
        if self._failures < 2:
            return 0.0
        policy = self._policy
        return backoff_s(self._failures - 1, first_s=policy.backoff_first_s, most_s=policy.backoff_most_s)

    def look(self, now: float, owed_since: float | None, *, in_vain: bool = False) -> Verdict:
        """What to do now. ``owed_since``: since when the session owes an answer and has said nothing; None: it owes
        none. ``in_vain``: somebody spoke to the session before it, and this one says nothing to that either. Each
        verdict but KEEP is taken to be carried out."""
        if self._opened_at is None:
            return self._look_away(now)
        self._owed_since = owed_since
        if owed_since is None:
            if now - self._opened_at >= self._policy.silent_s:
                self._unheard_since = self._spoken_to_at = None
            return self._tell_if_unheard(now) if in_vain else Verdict.KEEP
        if now - max(owed_since, self._opened_at) < self._policy.silent_s:
            return self._tell_if_unheard(now)
        if not self._exchanges_left:
            return Verdict.END
        last = self._exchanged_at
        if last is None or now - last >= self._policy.exchange_every_s:
            self._exchanges_left -= 1
            self._exchanged_at = now
            # The next one begins with a clean record: what it is owed counts from its own start.
            self._trust()
            return Verdict.EXCHANGE
        return self._tell(now, instead=Verdict.END)

    def takes_company(self, now: float, owed_since: float | None) -> bool:
        """Whether a caller who was told, and has waited since, is to hear a word now; True once in ``company_s``."""
        since = self._spoken_to_at
        if since is None or (owed_since is None and not self.away):
            return False
        due = now - since >= self._policy.company_s
        if due:
            self._spoken_to_at = now
        return due

    def _look_away(self, now: float) -> Verdict:
        if self._away_since is None:
            return Verdict.KEEP
        away_s = now - self._away_since
        last_try = self._policy.away_s + self._policy.last_try_s
        if self._failed_at - self._away_since >= last_try or away_s >= last_try + self._policy.last_try_s:
            return Verdict.END
        # Who has been told twice already waits for the last attempt, which is near.
        told = away_s >= self._policy.tell_after_s or self._unheard_for_long(now)
        return self._tell(now, instead=Verdict.KEEP) if told else Verdict.KEEP

    def _unheard_for_long(self, now: float) -> bool:
        return self._unheard_since is not None and now - self._unheard_since >= self._policy.tell_after_s

    def _tell_if_unheard(self, now: float) -> Verdict:
        return self._tell(now, instead=Verdict.KEEP) if self._unheard_for_long(now) else Verdict.KEEP

    def _tell(self, now: float, *, instead: Verdict) -> Verdict:
        """Tell the caller of this trouble, once; ``instead``, if they have been told too often."""
        if self._told:
            return Verdict.KEEP
        if not self._notices_left:
            return instead
        self._notices_left -= 1
        self._told = self._told_of_trouble = True
        self._spoken_to_at = now
        self._unheard_since = None
        return Verdict.TELL
