"""What `repartee bench transport` says of the telephone's bounds."""

from typing import Any

import pytest

from repartee.bench.transport import loss_bounds, telephone_bounds


def row(
    transport: str, p50: float | None, cpu: float, *, calls: int = 20, p90: float = 480.0
) -> dict[str, Any]:
    return {
        "transport": transport,
        "calls": calls,
        "v2v_ms": {"p50": p50, "p90": p90, "p99": 500.0},
        "cpu_s_per_call_minute": cpu,
    }


def test_the_telephone_is_held_to_what_was_measured_beside_it() -> None:
    rows = [row("websocket", 460.0, 0.5), row("websocket-g711", 461.0, 0.5), row("telephone", 469.5, 0.57)]
    assert telephone_bounds(rows) == {
        "telephone_above_websocket_ms": {"got": 9.5, "limit": 10.0, "kept": True},
        "telephone_cpu_by_g711_websocket": {"got": 1.14, "limit": 1.15, "kept": True},
    }


@pytest.mark.parametrize(
    ("p50", "cpu", "p90"), [(470.1, 0.5, 499.0), (460.0, 0.6, 499.0), (460.0, 0.5, 501.0)]
)
def test_each_bound_can_be_broken(p50: float, cpu: float, p90: float) -> None:
    rows = [row("websocket", 460.0, 0.5), row("websocket-g711", 461.0, 0.5)]
    bounds = telephone_bounds([*rows, row("telephone", p50, cpu, calls=100, p90=p90)])
    assert len(bounds) == 3 and [bound["kept"] for bound in bounds.values()].count(False) == 1


def test_loss_is_held_against_the_same_round_trip_without() -> None:
    rows = [
        row("webrtc", 460.0, 0.5, p90=p90) | {"loss_pct": loss, "rtt_ms": rtt}
        for rtt, loss, p90 in ((0.0, 0.0, 480.0), (0.0, 5.0, 500.0), (50.0, 0.0, 530.0), (50.0, 5.0, 551.0))
    ]
    assert loss_bounds(rows) == {
        "webrtc_p90_for_5_pct_loss_at_0_ms": {"got": 20.0, "limit": 20.0, "kept": True},
        "webrtc_p90_for_5_pct_loss_at_50_ms": {"got": 21.0, "limit": 20.0, "kept": False},
    }
    assert loss_bounds(rows[1:2]) == {}


def test_nothing_is_said_of_what_was_not_measured() -> None:
    assert telephone_bounds([row("websocket", 460.0, 0.5)]) == {}
    assert telephone_bounds([row("telephone", None, 0.5)]) == {}
    assert telephone_bounds([row("telephone", 460.0, 0.5)]) == {}
