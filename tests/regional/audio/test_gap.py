"""A client that sends nothing while its caller is silent is as far as one that sends silence, and no further."""

import math
from itertools import pairwise

import pytest

from repartee.audio.gap import EARLY_MS, PIECE_MS, ClientGap, GapPolicy

MOMENT_S = 0.01
"""Looks come at its multiples, as a call's ticks do."""


def filled(last_at: float, until: float) -> list[tuple[float, float]]:
    """When silence was passed on (s), and how much had been by then (ms); the last audio came at ``last_at``."""
    gap = ClientGap(GapPolicy())
    gap.heard(20.0, last_at)
    now, passed = math.ceil(last_at / MOMENT_S) * MOMENT_S, []
    while now < until:
        if gap.take(now):
            passed.append((now, gap.filled_ms))
        now = math.ceil((now + gap.look_in_s(now)) / MOMENT_S - 1e-9) * MOMENT_S
    return passed


@pytest.mark.parametrize("phase_ms", [0.0, 0.1, 3.0, 5.0, 7.7, 9.9])
def test_no_piece_is_later_than_from_a_client_that_sends_silence(phase_ms: float) -> None:
    last_at = 1.0 + phase_ms / 1000
    passed = filled(last_at, 2.0)
    for (now, before), (_, after) in pairwise(passed[3:]):
        assert after - before == pytest.approx(PIECE_MS)
        sent_by_then = (now - last_at) * 1000
        assert -PIECE_MS < before - sent_by_then <= EARLY_MS + 1e-6
    lateness = [at - (last_at + ms / 1000) for at, ms in passed[3:]]
    assert max(lateness) <= 1e-6
    assert min(lateness) * 1000 >= -EARLY_MS - 1e-6


def test_it_has_caught_up_a_tenth_of_a_second_after_the_last_audio() -> None:
    now, ms = next((now, ms) for now, ms in filled(1.003, 2.0) if ms >= (now - 1.003) * 1000)
    assert now <= 1.1
    assert ms >= 80.0
