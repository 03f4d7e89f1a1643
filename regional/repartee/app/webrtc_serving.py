"""WebRTC beside a worker, for as long as it lives: where the extra is installed, and the port is free."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from repartee.app.processes.membership import Membership
from repartee.app.worker import Worker, WorkerParts
from repartee.transport.webrtc.libraries import WebRtcMissing, missing

log = logging.getLogger(__name__)


@asynccontextmanager
async def webrtc_serving(
    worker: Worker, parts: WorkerParts, membership: Membership | None
) -> AsyncIterator[object]:
    """Gives the WebRtcService, or a sentence that says why there is none: calls by WebSocket do not need it."""
    if why := missing():
        yield why
        return
    # Only here, as its libraries are an extra; and before the first call, which would wait for it.
    from repartee.app.webrtc_service import start_webrtc
    from repartee.transport.webrtc.stun_client import AddressUnknown

    own_machine = parts.loopback_only or parts.allow_anonymous
    try:
        service = await start_webrtc(worker, own_machine=own_machine, membership=membership)
    except (AddressUnknown, WebRtcMissing, OSError) as error:
        log.error("WebRTC cannot be offered: %s; serving everything else", error)
        yield f"WebRTC is not available here: {error}"
        return
    try:
        yield service
    finally:
        await service.aclose()
