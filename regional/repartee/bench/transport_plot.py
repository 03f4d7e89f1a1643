"""What loss costs each transport, as a picture: P90 against loss, at one round trip. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from repartee.bench.plot import COLOURS, Chart, PlotLine


def transport_chart(rows: Sequence[dict[str, Any]]) -> Chart:
    """Of the rows of `bench transport`, at the round trip that has the most of them, the middle one of several; those
    of the telephone have no loss."""
    measured = [
        row for row in rows if row["v2v_ms"]["p90"] is not None and "telephone" not in row["transport"]
    ]
    rtts = Counter(row["rtt_ms"] for row in measured if row["loss_pct"])
    fullest = sorted(rtt_ms for rtt_ms, count in rtts.items() if count == max(rtts.values()))
    rtt_ms = fullest[len(fullest) // 2] if fullest else 0.0
    shown = [row for row in measured if row["rtt_ms"] == rtt_ms]
    names = list(dict.fromkeys(row["transport"] for row in shown))
    lines = [
        PlotLine(
            name,
            sorted((row["loss_pct"], row["v2v_ms"]["p90"]) for row in shown if row["transport"] == name),
            COLOURS[number % len(COLOURS)],
        )
        for number, name in enumerate(names)
    ]
    return Chart(
        title=f"Voice-to-voice latency at {rtt_ms:g} ms of round trip",
        x_label="packets lost, %",
        y_label="P90, ms",
        lines=lines,
        y_from=400,
    )
