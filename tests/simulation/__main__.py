"""`python -m tests.simulation`: many conversations, or one again.

python -m tests.simulation --conversations 10000
python -m tests.simulation --seed 4711
"""

import argparse
import json
import logging
import sys
import time
from pathlib import Path

from tests.simulation.conversation import play
from tests.simulation.judge import faults
from tests.simulation.simulating import simulate


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
