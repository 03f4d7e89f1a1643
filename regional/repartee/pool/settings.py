"""How a pool behaves. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How a pool behaves. Raises ValueError for values that cannot work.

    ``spare`` is the number of free slots kept ready; ``slots`` how many leases one connection carries at a time;
    ``single_use`` closes a connection with its first lease, for streams that hold state. A connection lives
    ``max_age_s`` at most and is replaced before that, while free. ``keepalive_s`` (None: never) is the longest a
    connection sits idle without a keepalive. A dial may take ``dial_timeout_s``. Failed dials back off from
    ``backoff_first_s``, doubling, to ``backoff_max_s``, one dial at a time; a caller who finds the pool empty dials
    at once all the same. A connection lost within ``young_s``, or before it served, is a failed dial. Whatever the
    cause, no more than ``dials_per_s`` start in any second, or ``call_dials_per_s`` while a call is in progress; only
    the first filling of a pool that has met no failure is quicker. A provider that asks to be left alone for a while
    (Retry-After) is, by callers too.
    """

    spare: int = 2
    slots: int = 1
    max_open: int = 256
    max_dialling: int = 8
    single_use: bool = False
    max_age_s: float = 300.0
    keepalive_s: float | None = 5.0
    backoff_first_s: float = 0.25
    backoff_max_s: float = 3.5
    """With a dial and ``young_s``, the pool is back within 5 s of its provider."""
    acquire_timeout_s: float = 5.0
    dial_timeout_s: float = 5.5
    young_s: float = 0.5
    retry_after_max_s: float = 300.0
    """The longest that a provider may ask to be left alone."""

    dials_per_s: int = 2
    call_dials_per_s: int = 20

    def __post_init__(self) -> None:
        if self.spare < 0 or min(self.slots, self.max_open, self.max_dialling) < 1:
            raise ValueError("a pool needs spare >= 0 and slots, max_open and max_dialling >= 1")
        if self.max_age_s <= 0 or self.backoff_first_s <= 0 or self.acquire_timeout_s <= 0:
            raise ValueError("a pool's max_age_s, backoff_first_s and acquire_timeout_s must be above 0")
        if (
            min(self.young_s, self.retry_after_max_s) < 0
            or self.dial_timeout_s <= 0
            or min(self.dials_per_s, self.call_dials_per_s) < 1
        ):
            raise ValueError(
                "a pool needs young_s and retry_after_max_s >= 0, dial_timeout_s above 0 and at least one dial a "
                "second"
            )
