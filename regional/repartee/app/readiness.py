"""Whether a worker can hold a call: a usable vendor of each kind that the call needs. Pure.

Two questions, and they differ on purpose. *Ready* decides whether a platform replaces the worker, and the calls in
it: once true, no provider's fault takes it back. *Admitting* says whether somebody would hear, answer and speak to
the next call.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from repartee.errors import AdmissionRefused
from repartee.pool.faults import PoolFault

if TYPE_CHECKING:
    from repartee.pool.figures import PoolFigures

RETRY_AFTER_S = 2

WORDS = {
    "stt": "Speech recognition",
    "llm": "The language model",
    "tts": "Speech synthesis",
    "model": "The speech-to-speech model",
}


class ServedProvider(Protocol):
    """A provider as far as readiness goes."""

    @property
    def warm(self) -> bool:
        """Its pools were full once, and a new call need not fail now."""

    @property
    def usable(self) -> bool:
        """A new call has a chance: something is ready, or dials do not fail."""

    def pools(self) -> "tuple[PoolFigures, ...]":
        """Its pools' figures at this moment."""


class Readiness:
    """Looks at the vendors of each kind: ``stt``, ``llm`` and ``tts``, or ``model`` (speech to speech)."""

    def __init__(self, kinds: Mapping[str, Sequence[ServedProvider]]) -> None:
        self._kinds = dict(kinds)

    @property
    def warm(self) -> bool:
        """Each kind has a vendor that is warm."""
        return all(any(vendor.warm for vendor in vendors) for vendors in self._kinds.values())

    def unusable(self, needed: Iterable[str]) -> tuple[str, ...]:
        """The kinds of which no vendor is usable: nothing is ready, and dials fail."""
        return tuple(
            kind for kind in needed if not any(vendor.usable for vendor in self._kinds.get(kind, ()))
        )

    def check(self, needed: Iterable[str]) -> None:
        """Raises AdmissionRefused for a call that needs a kind of which no vendor is usable."""
        missing = self.unusable(needed)
        if missing:
            verb = "are" if len(missing) > 1 else "is"
            named = " and ".join(WORDS.get(kind, kind) for kind in missing)
            raise AdmissionRefused(
                f"{named} {verb} unavailable here: try again, or elsewhere.", retry_after_s=RETRY_AFTER_S
            )

    def faults(self) -> tuple[PoolFault, ...]:
        """What is wrong with the pools of all vendors, usable or not."""
        pools = (pool for vendors in self._kinds.values() for vendor in vendors for pool in vendor.pools())
        return tuple(pool.fault for pool in pools if pool.fault is not None)
