"""A worker's recordings, from its start to its end, as the settings say."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from repartee.app.call_audio.recorder import Recorder, recording_calls
from repartee.app.recording_settings import RecordingSettings
from repartee.store.interfaces import Store
from repartee.store.recordings import keep_expiring_recordings


@contextlib.asynccontextmanager
async def recordings(
    settings: RecordingSettings, store: Store | None, *, expires: bool
) -> AsyncIterator[Recorder | None]:
    """What records calls, for as long as the block lasts; None where nothing is to be. ``expires``: this process
    deletes what is too old."""
    if not settings.recordings or store is None:
        yield None
        return
    days = settings.recording_keep_days if expires else 0.0
    expiring = asyncio.create_task(keep_expiring_recordings(store, settings.place_of, days)) if days else None
    try:
        async with recording_calls(Recorder(settings.encoder_options(), store)) as recorder:
            yield recorder
    finally:
        if expiring:
            expiring.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await expiring
