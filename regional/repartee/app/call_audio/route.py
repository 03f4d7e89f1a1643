"""``GET /v1/calls/ID/recording``: a call's recording, for operators."""

import asyncio
import re
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from repartee.app.answers import error
from repartee.app.figures import refused_operator
from repartee.app.worker import Worker
from repartee.errors import StoreError
from repartee.store.recording_places import CONTENT_TYPES
from repartee.store.recordings import recording_of

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


async def recording(request: Request) -> Response:
    """The whole file, or the range of it that is asked for (a player skips)."""
    if refused := refused_operator(request):
        return refused
    worker: Worker = request.state.worker
    store, call_id = worker.services.store, str(request.path_params["call_id"])
    try:
        row = await recording_of(store, call_id) if store else None
        name = str(row["name"]) if row else ""
        place = worker.settings.place_of(str(row["place"])) if row else None
        data = await asyncio.to_thread(place.get, name) if place else None
    except StoreError as fault:
        return error(503, "store_unavailable", str(fault), {"Retry-After": "5"})
    if data is None:
        return error(404, "recording_not_found", "There is no recording of this call, or not yet.")
    return _part(data, request.headers.get("range", ""), CONTENT_TYPES[Path(name).suffix])


def _part(data: bytes, asked: str, content_type: str) -> Response:
    headers: dict[str, str] = {"Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    found = _RANGE.fullmatch(asked)
    if found is None or not (found[1] or found[2]):
        return Response(data, headers=headers, media_type=content_type)
    first = int(found[1]) if found[1] else max(len(data) - int(found[2]), 0)
    last = min(int(found[2]), len(data) - 1) if found[1] and found[2] else len(data) - 1
    if first > last:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(data[first : last + 1], 206, headers, content_type)


ROUTES: tuple[Any, ...] = (Route("/v1/calls/{call_id}/recording", recording),)
