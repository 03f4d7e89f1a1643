"""`repartee bench transport`: the same calls over each transport, one after the other, on one core.

WebRTC, loss and distance are not measured here yet.
"""

import asyncio
import base64
import secrets
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from repartee.bench.lean_socket import open_socket
from repartee.bench.load import MOST_OPENING, Load, LoadCall, Measured, run_load, scripted
from repartee.bench.rig import (
    LateGenerator,
    Rig,
    Setup,
    lateness,
    no_pauses,
    percentiles,
    rig,
    rounded,
    usage,
)
from repartee.bench.telephone_load import CarrierCall, G711Call
from repartee.client.call import session_url
from repartee.client.report import percentile, write_report
from repartee_edge.tickets import TicketKeys, sign

REGION = "bench"
ROOM = 10

MOST_ABOVE_WEBSOCKET_MS = 10.0
MOST_CPU_BY_G711 = 1.15
MANY_CALLS = 100
MOST_P90_MS = 500.0
"""What is promised of telephone calls: a turn's P50 above a WebSocket's, CPU by that of G.711 in base64 on a
WebSocket, and a turn's P90 with so many calls on a core."""


class MeasuredTransport(StrEnum):
    """How calls come."""

    websocket = "websocket"
    binary = "websocket-binary"
    g711 = "websocket-g711"
    telephone = "telephone"
    telephone_wide = "telephone-wide"
    """The same, with speech recognition sent PCM16 at 24 kHz instead of what came."""

    @property
    def by_telephone(self) -> bool:
        """On a carrier's stream."""
        return self in (MeasuredTransport.telephone, MeasuredTransport.telephone_wide)


def transport(
    calls: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 20,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each call.")] = 12,
    transports: Annotated[
        list[MeasuredTransport] | None, typer.Option("--transport", help="Only this one; may be repeated.")
    ] = None,
    profile: Annotated[str, typer.Option(help="The stand-ins' latency profile.")] = "budget",
    port: Annotated[int, typer.Option(help="The worker's port; the stand-ins take the next.")] = 8872,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
) -> None:
    """Measure latency and CPU of calls over WebSockets (base64, binary, G.711) and on telephone streams.

    Rejects a run in which the load generator itself was late.
    """
    load = Load(f"http://127.0.0.1:{port}", calls, turns)
    chosen = transports or list(MeasuredTransport)
    rows = [uvloop.run(_row(each, load, profile, port)) for each in chosen]
    base = next((row["v2v_ms"]["p50"] for row in rows if row["transport"] == "websocket"), None)
    for row in rows:
        p50 = row["v2v_ms"]["p50"]
        row["added_ms"] = None if base is None or p50 is None else round(p50 - base, 2)
    late = next((why for row in rows if (why := lateness(row))), None)
    bounds = telephone_bounds(rows)
    write_report({"rows": rows, "bounds": bounds, "profile": profile, "rejected": late}, json_path)
    console = Console(highlight=False)
    console.print(_view(rows))
    for name, bound in bounds.items():
        console.print(f"{name}: {bound['got']:g}, {'within' if bound['kept'] else 'over'} {bound['limit']:g}")
    if late:
        raise LateGenerator(late)


async def _row(kind: MeasuredTransport, load: Load, profile: str, port: int) -> dict[str, Any]:
    ticket_key = secrets.token_hex(32)
    env = {
        "REPARTEE_MAX_CALLS": str(max(50, load.calls + ROOM)),
        "REPARTEE_REGION": REGION,
        "REPARTEE_TICKET_KEY": ticket_key,
        "REPARTEE_PUBLIC_URL": load.url,
        "REPARTEE_TELEPHONE_NARROW_HEARING": str(kind is not MeasuredTransport.telephone_wide),
        # A carrier that signs no handshakes: its tickets let it in.
        "TELNYX_PUBLIC_KEY": base64.b64encode(bytes(32)).decode(),
    }
    async with rig(Setup(port, profile, env=env)) as bench:
        return await _measured(kind, load, bench, ticket_key)


async def _measured(kind: MeasuredTransport, load: Load, bench: Rig, ticket_key: str) -> dict[str, Any]:
    measured, frames = Measured(), load.frames_per_turn
    opening = asyncio.Semaphore(MOST_OPENING)
    binary = kind is MeasuredTransport.binary
    script = scripted(frames, binary_audio=binary)
    calls = [
        CarrierCall(frames, load.turns, measured)
        if kind.by_telephone
        else G711Call(frames, load.turns, measured)
        if kind is MeasuredTransport.g711
        else LoadCall(script, load.turns, measured)
        for _ in range(load.calls)
    ]

    async def place(call: LoadCall) -> None:
        url = session_url(load.url, binary_audio=binary)
        if kind.by_telephone:
            given = sign(
                TicketKeys(ticket_key),
                region=REGION,
                subject="telephone",
                now=time.time(),
                metadata={"carrier": "telnyx"},
            )
            url = f"{load.url.replace('http', 'ws', 1)}/v1/telephone/telnyx/stream/{given}"
        async with opening:
            call.socket = await open_socket(
                url, "", lambda payload, text: call.receive(payload, text, time.monotonic())
            )

    with no_pauses():
        await asyncio.gather(*(place(call) for call in calls))
        before = usage(bench.pid)
        await run_load(load, measured, calls)
        used_s = usage(bench.pid).cpu_s - before.cpu_s
    for call in calls:
        if call.socket is not None:
            call.socket.close()
    return {
        "transport": kind.value,
        "loss_pct": 0.0,
        "rtt_ms": 0.0,
        "calls": load.calls,
        "v2v_ms": percentiles(measured.latencies_ms),
        "cpu_s_per_call_minute": round(used_s / (load.calls * max(measured.seconds, 1e-9) / 60), 3),
        "unanswered": measured.unanswered,
        "generator_lateness_ms": {"p99": rounded(percentile(measured.lateness_ms, 99)) or 0.0},
        "faults": sorted(set(measured.faults)),
    }


def telephone_bounds(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What a telephone call may cost beside WebSockets in the same run, and what it does; of what was measured."""
    by_name = {row["transport"]: row for row in rows}
    telephone = by_name.get("telephone")
    if telephone is None or telephone["v2v_ms"]["p50"] is None:
        return {}
    found: dict[str, tuple[float, float]] = {}
    websocket, g711 = by_name.get("websocket"), by_name.get("websocket-g711")
    if websocket and websocket["v2v_ms"]["p50"] is not None:
        above_ms = round(telephone["v2v_ms"]["p50"] - websocket["v2v_ms"]["p50"], 2)
        found["telephone_above_websocket_ms"] = (above_ms, MOST_ABOVE_WEBSOCKET_MS)
    if g711 and g711["cpu_s_per_call_minute"]:
        ratio = round(telephone["cpu_s_per_call_minute"] / g711["cpu_s_per_call_minute"], 3)
        found["telephone_cpu_by_g711_websocket"] = (ratio, MOST_CPU_BY_G711)
    if telephone["calls"] >= MANY_CALLS:
        found["telephone_p90_ms"] = (telephone["v2v_ms"]["p90"], MOST_P90_MS)
    return {name: {"got": got, "limit": limit, "kept": got <= limit} for name, (got, limit) in found.items()}


def _view(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="The same calls over each transport")
    for title in ("transport", "calls", "P50", "P90", "P99", "added", "CPU s a call-minute", "unanswered"):
        table.add_column(title, justify="left" if title == "transport" else "right")
    for row in rows:
        values = [*row["v2v_ms"].values(), row["added_ms"]]
        shown = ["–" if ms is None else f"{ms:.1f}" for ms in values]
        cpu = f"{row['cpu_s_per_call_minute']:.2f}"
        table.add_row(row["transport"], str(row["calls"]), *shown, cpu, str(row["unanswered"]))
    return table
