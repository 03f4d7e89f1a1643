"""Many conversations, each by its seed, in several processes."""

import logging
from collections import Counter

from tests.fresh_processes import fresh_processes
from tests.simulation.conversation import play
from tests.simulation.judge import faults

BATCH = 50


def judged(seed: int) -> tuple[list[str], Counter[tuple[str, str]]]:
    """Play one, and say what was wrong."""
    try:
        played = play(seed)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"], Counter()
    return faults(played), played.drawn


def batch(seeds: range) -> tuple[dict[int, list[str]], Counter[tuple[str, str]]]:
    """Play some; those that went wrong, and what was drawn in all."""
    logging.disable(logging.CRITICAL)
    wrong: dict[int, list[str]] = {}
    drawn: Counter[tuple[str, str]] = Counter()
    for seed in seeds:
        found, counted = judged(seed)
        drawn += counted
        if found:
            wrong[seed] = found
    return wrong, drawn


def simulate(
    first: int, count: int, processes: int | None = None
) -> tuple[dict[int, list[str]], Counter[tuple[str, str]]]:
    """Play ``count`` conversations from seed ``first`` on, in several processes."""
    batches = [range(seed, min(seed + BATCH, first + count)) for seed in range(first, first + count, BATCH)]
    wrong: dict[int, list[str]] = {}
    drawn: Counter[tuple[str, str]] = Counter()
    with fresh_processes(processes) as pool:
        for found, counted in pool.map(batch, batches):
            wrong |= found
            drawn += counted
    return wrong, drawn
