"""`repartee bench transport`: the same calls over each transport, one after the other, on one core, over good lines
and bad ones.

What they go over is made in ``transport_link``.
"""

import asyncio
import base64
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from repartee.bench.lean_socket import open_socket
from repartee.bench.line_quality import LineQuality
from repartee.bench.load import MOST_OPENING, Load, LoadCall, Measured, run_load, scripted
from repartee.bench.media_only import MOST_CPU_S, MOST_MB, media_row
from repartee.bench.plot import write_plot
from repartee.bench.rig import (
    LateGenerator,
    Rig,
    Setup,
    lateness,
    media_env,
    no_pauses,
    percentiles,
    rig,
    rounded,
    usage,
)
from repartee.bench.stream_relay import HOST
from repartee.bench.telephone_load import CarrierCall, G711Call
from repartee.bench.transport_link import LinkKind, TransportLink, linked
from repartee.bench.transport_plot import transport_chart
from repartee.bench.webrtc_load import MediaLink, media_link, media_script
from repartee.client.call import session_url
from repartee.client.recorded_opus import RecordedOpus
from repartee.client.report import percentile, write_report
from repartee_edge.tickets import TicketKeys, sign

REGION = "bench"
ROOM = 10

LOSSES_PCT = (0.0, 1.0, 2.0, 5.0)
RTTS_MS = (0.0, 50.0, 150.0)
CLOSING_S = 0.3
MEDIA_S = 30.0
MEDIA_PORT_ABOVE = 3
"""WebRTC's port, counted from the worker's."""

MOST_ABOVE_WEBSOCKET_MS = 10.0
MOST_CPU_BY_G711 = 1.15
MANY_CALLS = 100
MOST_P90_MS = 500.0
"""What is promised of telephone calls: a turn's P50 above a WebSocket's, CPU by that of G.711 in base64 on a
WebSocket, and a turn's P90 with so many calls on a core."""

LOSS_PCT, MOST_FOR_LOSS_MS = 5.0, 20.0
"""What is promised of WebRTC: at so much loss, P90 is at most so much above that without."""


class MeasuredTransport(StrEnum):
    """How calls come."""

    websocket = "websocket"
    binary = "websocket-binary"
    g711 = "websocket-g711"
    webrtc = "webrtc"
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
    losses: Annotated[
        list[float] | None,
        typer.Option("--loss", help="Percent of packets lost; may be repeated. 0, 1, 2, 5."),
    ] = None,
    rtts: Annotated[
        list[float] | None, typer.Option("--rtt", help="Round trip, ms; may be repeated. 0, 50, 150.")
    ] = None,
    link: Annotated[
        LinkKind, typer.Option(help="What calls go over; namespaces need root, on Linux.")
    ] = LinkKind.auto,
    media_only: Annotated[
        bool, typer.Option("--media-only", help="WebRTC's media alone, for 30 s, without a conversation.")
    ] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
    plot_path: Annotated[
        Path | None, typer.Option("--plot", help="Draw P90 against loss here, as SVG.")
    ] = None,
) -> None:
    """Measure latency and CPU of calls over WebSockets (base64, binary, G.711), WebRTC and telephone streams.

    Each on good lines and bad ones, the telephone on a good one: half an hour in all. Rejects a run in which the load
    generator itself was late.
    """
    if media_only:
        _measure_media(calls, port, json_path)
        return
    load = Load(f"http://127.0.0.1:{port}", calls, turns)
    lines = [LineQuality(pct / 100, rtt) for rtt in rtts or RTTS_MS for pct in losses or LOSSES_PCT]
    rows: list[dict[str, Any]] = []
    with linked(link) as over:
        for each in transports or list(MeasuredTransport):
            chosen = [LineQuality()] if each.by_telephone else lines
            rows += uvloop.run(_rows(each, load, Setup(port, profile), over, chosen))
    base = next((row["v2v_ms"]["p50"] for row in rows if row["transport"] == "websocket"), None)
    for row in rows:
        p50 = row["v2v_ms"]["p50"]
        row["added_ms"] = None if base is None or p50 is None else round(p50 - base, 2)
    if plot_path is not None:
        write_plot(transport_chart(rows), plot_path)
    late = next((why for row in rows if (why := lateness(row))), None)
    bounds = telephone_bounds([row for row in rows if not row["loss_pct"] and not row["rtt_ms"]])
    bounds |= loss_bounds(rows)
    write_report(
        {"rows": rows, "link": over.kind.value, "bounds": bounds, "profile": profile, "rejected": late},
        json_path,
    )
    console = Console(highlight=False)
    console.print(_view(rows, over.kind))
    for name, bound in bounds.items():
        console.print(f"{name}: {bound['got']:g}, {'within' if bound['kept'] else 'over'} {bound['limit']:g}")
    if late:
        raise LateGenerator(late)


def _measure_media(calls: int, port: int, json_path: Path | None) -> None:
    row = uvloop.run(media_row(calls, MEDIA_S, port))
    late = lateness(row)
    write_report({"rows": [row], "rejected": late}, json_path)
    Console(highlight=False).print(
        f"{calls} calls: {row['core_used']:.0%} of a core, {row['cpu_s_per_call_minute']:.2f} CPU s a call-minute "
        f"(at most {MOST_CPU_S}), {row['mb_per_call']:.2f} MB a call (at most {MOST_MB})"
    )
    if late:
        raise LateGenerator(late)


async def _rows(
    kind: MeasuredTransport, load: Load, setup: Setup, link: TransportLink, lines: Sequence[LineQuality]
) -> list[dict[str, Any]]:
    ticket_key = secrets.token_hex(32)
    env = {
        "REPARTEE_MAX_CALLS": str(max(50, load.calls + ROOM)),
        "REPARTEE_REGION": REGION,
        "REPARTEE_TICKET_KEY": ticket_key,
        "REPARTEE_PUBLIC_URL": load.url,
        "REPARTEE_WEBRTC_PORT": str(setup.port + MEDIA_PORT_ABOVE),
        **media_env(),
        "REPARTEE_TELEPHONE_NARROW_HEARING": str(kind is not MeasuredTransport.telephone_wide),
        # A carrier that signs no handshakes: its tickets let it in.
        "TELNYX_PUBLIC_KEY": base64.b64encode(bytes(32)).decode(),
    }
    with link.at_worker():
        async with rig(replace(setup, env=env)) as bench:
            return [await _measured(kind, load, bench, ticket_key, link, line) for line in lines]


async def _measured(
    kind: MeasuredTransport, load: Load, bench: Rig, ticket_key: str, link: TransportLink, line: LineQuality
) -> dict[str, Any]:
    measured, frames = Measured(), load.frames_per_turn
    opening = asyncio.Semaphore(MOST_OPENING)
    binary = kind is MeasuredTransport.binary
    by_webrtc = kind is MeasuredTransport.webrtc
    script = media_script(frames) if by_webrtc else scripted(frames, binary_audio=binary)
    opus = RecordedOpus()
    calls = [
        CarrierCall(frames, load.turns, measured)
        if kind.by_telephone
        else G711Call(frames, load.turns, measured)
        if kind is MeasuredTransport.g711
        else LoadCall(script, load.turns, measured)
        for _ in range(load.calls)
    ]

    async def place(call: LoadCall) -> None:
        if by_webrtc:
            async with opening:
                call.socket = await media_link(call.receive, load.url, opus=opus, via=way.media)
            return
        url = session_url(f"http://{HOST}:{way.port}", binary_audio=binary)
        if kind.by_telephone:
            url = f"{load.url.replace('http', 'ws', 1)}/v1/telephone/telnyx/stream/{_carriers_ticket(ticket_key)}"
        async with opening:
            call.socket = await open_socket(
                url, "", lambda payload, text: call.receive(payload, text, time.monotonic())
            )
        if isinstance(call, CarrierCall):
            lines.append(asyncio.create_task(call.hold_line()))

    lines: list[asyncio.Task[None]] = []
    async with AsyncExitStack() as stack:
        port = int(load.url.rpartition(":")[2])
        way = await stack.enter_async_context(link.over(line, port, port + MEDIA_PORT_ABOVE))
        stack.enter_context(no_pauses())
        await asyncio.gather(*(place(call) for call in calls))
        before = usage(bench.pid)
        await run_load(load, measured, calls)
        used_s = usage(bench.pid).cpu_s - before.cpu_s
        for held in lines:
            held.cancel()
        for call in calls:
            if call.socket is not None:
                call.socket.close()
        await asyncio.sleep(CLOSING_S)
    return {
        "transport": kind.value,
        "loss_pct": line.loss * 100,
        "rtt_ms": line.rtt_ms,
        "calls": load.calls,
        "v2v_ms": percentiles(measured.latencies_ms),
        "cpu_s_per_call_minute": round(used_s / (load.calls * max(measured.seconds, 1e-9) / 60), 3),
        "concealed": _concealed([call.socket for call in calls if isinstance(call.socket, MediaLink)]),
        "unanswered": measured.unanswered,
        "generator_lateness_ms": {"p99": rounded(percentile(measured.lateness_ms, 99)) or 0.0},
        "faults": sorted(set(measured.faults)),
    }


def _concealed(links: Sequence[MediaLink]) -> float | None:
    """The share of what WebRTC callers heard that was made up for lost packets; None by other transports."""
    heard = sum(link.heard_frames for link in links)
    return round(sum(link.concealed_frames for link in links) / heard, 5) if heard else None


def _carriers_ticket(key: str) -> str:
    return sign(
        TicketKeys(key), region=REGION, subject="telephone", now=time.time(), metadata={"carrier": "telnyx"}
    )


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
    return _bounds(found)


def loss_bounds(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What 5 % loss adds to WebRTC's P90, beside the row without loss at the same round trip."""
    p90 = {
        (row["rtt_ms"], row["loss_pct"]): row["v2v_ms"]["p90"] for row in rows if row["transport"] == "webrtc"
    }
    found: dict[str, tuple[float, float]] = {}
    for (rtt_ms, loss_pct), lossy in p90.items():
        clean = p90.get((rtt_ms, 0.0))
        if loss_pct == LOSS_PCT and lossy is not None and clean is not None:
            found[f"webrtc_p90_for_5_pct_loss_at_{rtt_ms:g}_ms"] = (round(lossy - clean, 2), MOST_FOR_LOSS_MS)
    return _bounds(found)


def _bounds(found: dict[str, tuple[float, float]]) -> dict[str, dict[str, Any]]:
    return {name: {"got": got, "limit": limit, "kept": got <= limit} for name, (got, limit) in found.items()}


def _view(rows: Sequence[dict[str, Any]], link: LinkKind) -> Table:
    table = Table(title=f"The same calls over each transport; link: {link.value}")
    for title in (
        "transport",
        "loss",
        "round trip",
        "calls",
        "P50",
        "P90",
        "P99",
        "added",
        "CPU s a call-minute",
        "unanswered",
    ):
        table.add_column(title, justify="left" if title == "transport" else "right")
    for row in rows:
        values = [*row["v2v_ms"].values(), row["added_ms"]]
        shown = ["–" if ms is None else f"{ms:.1f}" for ms in values]
        cpu = f"{row['cpu_s_per_call_minute']:.2f}"
        line = (f"{row['loss_pct']:g} %", f"{row['rtt_ms']:g} ms")
        table.add_row(row["transport"], *line, str(row["calls"]), *shown, cpu, str(row["unanswered"]))
    return table
