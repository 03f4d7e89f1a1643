"""What `repartee doctor` finds out about the store."""

import asyncio

from repartee.app.keeping import store_place
from repartee.app.settings import Settings
from repartee.doctor.findings import Finding
from repartee.store.opening import StoreUnusable, try_store


async def check_store(settings: Settings) -> Finding:
    """Whether a region could keep things; nothing is changed."""
    try:
        where = await asyncio.to_thread(try_store, store_place(settings))
    except StoreUnusable as error:
        return Finding("store", error.told, error.remedy)
    return Finding("store", f"What outlives a call is kept in {where}.")
