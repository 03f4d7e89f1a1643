"""The last minute, hour and day, in slots: what is counted in one leaves with it. Pure."""

from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Window:
    """``slots`` of ``slot_s`` seconds each: what is older than the window leaves with its slot."""

    slot_s: float
    slots: int


WINDOWS: Mapping[str, Window] = {"1m": Window(5, 12), "1h": Window(120, 30), "24h": Window(3_600, 24)}


@dataclass(slots=True)
class WindowSlot(Generic[K, V]):
    """What was counted from ``number`` times the slot's length on."""

    number: int
    values: dict[K, V] = field(default_factory=dict)


class SlottedWindows(Generic[K, V]):
    """Values by key, in each window's slots. Times are seconds since 1970."""

    def __init__(self) -> None:
        self._windows: dict[str, deque[WindowSlot[K, V]]] = {name: deque() for name in WINDOWS}

    def __len__(self) -> int:
        """How many values there are."""
        return sum(len(slot.values) for slots in self._windows.values() for slot in slots)

    def current(self, now: float) -> Iterator[dict[K, V]]:
        """The values of each window's slot of this moment, to be added to."""
        for name, window in WINDOWS.items():
            slots = self._windows[name]
            number = int(now // window.slot_s)
            if not slots or slots[-1].number < number:
                slots.append(WindowSlot(number))
                _forget(slots, number - window.slots)
            yield slots[-1].values

    def slots(self, name: str, now: float, since: float = 0.0) -> Iterator[tuple[float, dict[K, V]]]:
        """When each slot of a window began, and its values; those that may have changed ``since`` then. Raises
        KeyError for what is no window."""
        window, slots = WINDOWS[name], self._windows[name]
        _forget(slots, int(now // window.slot_s) - window.slots)
        for slot in tuple(slots):
            if (slot.number + 1) * window.slot_s > since:
                yield slot.number * window.slot_s, slot.values


def _forget(slots: deque[WindowSlot[K, V]], last: int) -> None:
    while slots and slots[0].number <= last:
        slots.popleft()
