"""WebRTC's media alone: the agent is heard in every call, and what that cost is said."""

import socket

from repartee.bench.media_only import media_row


async def test_every_call_hears_the_agent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    row = await media_row(3, 1.0, port)
    assert (row["transport"], row["calls"], row["silent_calls"]) == ("webrtc", 3, 0)
    assert row["cpu_s_per_call_minute"] > 0 and row["mb_per_call"] < 10
