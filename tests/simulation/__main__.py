"""`python -m tests.simulation`: many conversations, or one again.

python -m tests.simulation --conversations 10000
python -m tests.simulation --seed 4711
"""

import argparse
import concurrent.futures
import json
import logging
import os
import sys
import time
from collections import Counter
from pathlib import Path

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
    with concurrent.futures.ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        for found, counted in pool.map(batch, batches):
            wrong |= found
            drawn += counted
    return wrong, drawn


def command_for(seed: int) -> str:
    """What plays this conversation again."""
    return f"python -m tests.simulation --seed {seed}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=1, help="the first conversation's seed")
    parser.add_argument("--seed", type=int, help="play this one conversation, and show what happened")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return show(arguments.seed)
    began = time.perf_counter()
    wrong, drawn = simulate(arguments.first, arguments.conversations)
    for (actor, way), count in sorted(drawn.items()):
        print(f"{actor:11} {way:32} {count:6}")
    for seed, found in wrong.items():
        print(f"seed {seed}: {'; '.join(found)}\n    {command_for(seed)}")
    took_s = time.perf_counter() - began
    print(f"{arguments.conversations} conversations, {len(wrong)} with faults, in {took_s:.0f} s")
    if arguments.json:
        result = {"conversations": arguments.conversations, "failed": sorted(wrong), "seconds": took_s}
        arguments.json.write_text(json.dumps(result))
    return 1 if wrong else 0


def show(seed: int) -> int:
    """Play one conversation and print what happened in it, and what was wrong."""
    logging.basicConfig(level=logging.INFO, format="           %(message)s")
    played = play(seed)
    lines = [
        *((at, repr(command)[:150]) for at, command in played.line.log),
        *((at, repr(event)[:150]) for at, event in played.events),
        *((sound.began, f"CALLER {sound.words!r} until {sound.ended:.2f}") for sound in played.caller.sounds),
        *(
            (each.began, f"HEARD {played.words[each.number]} ({each.ms:.0f} ms, reply {each.reply_id})")
            for each in played.line.heard
            if each.number
        ),
    ]
    for at, line in sorted(lines):
        print(f"{at:9.2f}  {line}")
    found = faults(played)
    print(f"the call ended at {played.ended_at:.2f}: {played.end.value}", *found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
