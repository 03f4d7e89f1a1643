"""All that keeps a caller's words, and how each forgets them: what `repartee calls erase` walks.

A place that comes to keep words of callers has a row here, or its table names the caller's column: a test looks for
both.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from repartee.app.recording_settings import RecordingSettings
from repartee.store.interfaces import Store
from repartee.store.recordings import erase_recordings


@dataclass(frozen=True, slots=True)
class Erasing:
    """What erasing needs beside a store: where recordings are."""

    recordings: RecordingSettings


Eraser = Callable[[Store, str, Erasing], Awaitable[Mapping[str, int]]]


async def _recordings(store: Store, caller: str, erasing: Erasing) -> Mapping[str, int]:
    # Before the tables: their rows say which files there are.
    return {"recorded files": await erase_recordings(store, erasing.recordings.place_of, caller)}


async def _tables(store: Store, caller: str, erasing: Erasing) -> Mapping[str, int]:
    return await store.erase(caller)


KEEPERS: Mapping[str, Eraser] = {"recordings": _recordings, "tables": _tables}
"""By what they keep, in the order in which they are erased."""


async def erase_caller(store: Store, caller: str, erasing: Erasing) -> dict[str, int]:
    """Delete all that is kept of a caller; returns how much of what. Raises StoreError."""
    gone: dict[str, int] = {}
    for erase in KEEPERS.values():
        for what, count in (await erase(store, caller, erasing)).items():
            gone[what] = gone.get(what, 0) + count
    return gone
