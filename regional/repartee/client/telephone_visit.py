"""Two calls by telephone, as `repartee demo --telephone` shows them: questions, a key pressed, a transfer, and an
agent that hangs up."""

import asyncio
import math
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from repartee.client.call import CallOptions, PlacedCall
from repartee.client.calling import AskedLine, FinishedCall, converse
from repartee.client.dialogue import Turn
from repartee.client.faults import CallFailed
from repartee.client.telephone import FRAME_BYTES, MU_LAW, HandsetLine, TelephoneSocket
from repartee.wire.audio_format import AudioEncoder

COLLEAGUE: Final = "+15550111"
HOURS_KEY, COLLEAGUE_KEY, END_KEY = "1", "0", "9"
HEARD_MS: Final = 400.0
"""So much of each other both must have heard."""

KEY_ANSWER_S: Final = 15.0
Show = Callable[[Turn, str | None], None]


async def telephone_visit(
    options: CallOptions,
    lines: Sequence[AskedLine],
    show: Show,
    tell: Callable[[str], None],
    out: Path | None,
) -> tuple[FinishedCall, dict[str, Any]]:
    """Place both; the first call's turns, and what became of keys, transfer and hang-up. Raises CallFailed."""
    assert options.telephone is not None
    seen: dict[str, Any] = {"dialled": options.telephone.dialled}
    colleague = await HandsetLine.connected(options.telephone.network_url, COLLEAGUE)
    try:

        async def keys_and_transfer(call: PlacedCall) -> None:
            seen["key"] = await _pressed(call, HOURS_KEY)
            tell(f"Key {HOURS_KEY}: “{seen['key']['answer']}”")
            seen["transfer"] = await _transferred(call, colleague)
            tell(f"Key {COLLEAGUE_KEY}: handed on to {COLLEAGUE}; each has heard the other.")

        over = await converse(options, lines, on_turn=show, out=out, afterwards=keys_and_transfer)
    finally:
        await colleague.close()

    async def goodbye(call: PlacedCall) -> None:
        seen["hang_up"] = await _hung_up(call)
        tell(f"Key {END_KEY}, in a second call: “{seen['hang_up']['answer']}” The agent has hung up.")

    await converse(options, lines[:1], afterwards=goodbye)
    return over, seen


async def _pressed(call: PlacedCall, key: str) -> dict[str, Any]:
    """Press a key, and listen to what the agent says to it."""
    socket = _telephone(call)
    before = len(socket.said)
    await socket.handset.say(key=key)
    if not await _until(lambda: len(socket.said) > before):
        raise CallFailed(f"The agent said nothing to the key {key}.")
    return {"pressed": key, "answer": " ".join(socket.said[before:])}


async def _transferred(call: PlacedCall, colleague: HandsetLine) -> dict[str, Any]:
    """Ask for a colleague, who answers; they hear each other until the colleague hangs up."""
    socket = _telephone(call)
    await socket.handset.say(key=COLLEAGUE_KEY)
    ringing = await colleague.until("incoming")
    await colleague.say(answer=True)
    await socket.handset.until("joined")
    before = socket.handset.heard_ms
    call.utter(_tone(call.options.rate_hz))
    encoder = AudioEncoder(MU_LAW, MU_LAW.hz)
    audio = encoder.feed(_tone(MU_LAW.hz)) + encoder.flush()
    for at in range(0, len(audio) - FRAME_BYTES + 1, FRAME_BYTES):
        await colleague.speak(audio[at : at + FRAME_BYTES])
        await asyncio.sleep(0.02)
    heard = {"caller": socket.handset.heard_ms - before, "colleague": colleague.heard_ms}
    await colleague.say(hang_up=True)
    await colleague.until("ended")
    await _until(lambda: socket.ended is not None)
    if min(heard.values()) < HEARD_MS:
        raise CallFailed(f"After the transfer so much was heard (ms): {heard}.")
    return {"to": COLLEAGUE, "from": ringing["from"], "heard_ms": heard}


async def _hung_up(call: PlacedCall) -> dict[str, Any]:
    """Press the key for the end, and wait for the agent to hang up."""
    said = await _pressed(call, END_KEY)
    socket = _telephone(call)
    await _until(lambda: socket.ended is not None)
    if socket.ended is None:
        raise CallFailed("The agent did not hang up.")
    return {"by": "agent", "status": socket.ended["status"], "answer": said["answer"]}


def _telephone(call: PlacedCall) -> TelephoneSocket:
    assert isinstance(call.socket, TelephoneSocket)
    return call.socket


async def _until(seen: Callable[[], bool]) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + KEY_ANSWER_S
    while not seen() and loop.time() < deadline:  # noqa: ASYNC110 - sockets of several kinds change it
        await asyncio.sleep(0.02)
    return seen()


def _tone(hz: int) -> bytes:
    """A second of a tone (PCM16): somebody's voice."""
    return array("h", (round(6_000 * math.sin(2 * math.pi * 350 * n / hz)) for n in range(hz))).tobytes()
