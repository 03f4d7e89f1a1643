"""Where calls are kept on this machine: by this user's own regions, and by each `repartee up`."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from repartee.store.opening import StorePlace, own_file
from repartee.store.sqlite import IN_MEMORY

log = logging.getLogger(__name__)


def fresh_store(port: int, environ: Mapping[str, str]) -> str:
    """A file for the calls of the `repartee up` on this port: those of the last one are deleted. In memory where
    there is no place for it."""
    try:
        path = own_file(environ).with_name(f"up-{port}.sqlite3")
        for beside in ("", "-wal", "-shm"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            return IN_MEMORY
    except (OSError, RuntimeError) as error:
        log.warning("there is no file for the calls: %s; keeping them in memory", error)
        return IN_MEMORY
    return str(path)


def kept_here(environ: Mapping[str, str]) -> list[StorePlace]:
    """The stores that calls may be in: the one that is named, or else all files of this user's that there are."""
    url, file = environ.get("DATABASE_URL", ""), environ.get("REPARTEE_STORE_FILE", "")
    if url or file:
        return [StorePlace(url, file)]
    try:
        own = own_file(environ)
    except RuntimeError:
        return []
    found = [path for path in (own, *sorted(own.parent.glob("up-*.sqlite3"))) if Path(path).is_file()]
    return [StorePlace(file=str(path)) for path in found]
