"""How many calls a region of several processes carries, by who gets the next one. Not a test; run it by hand:

    python tests/regional/app/processes/measure_dispatch.py

A simulation, the same on every machine: calls come at random and last at random, each process has its slots. Prints
JSON: ``{"rows": [{"processes", "slots_each", "least_busy", "in_turn", "ratio"}]}``, the calls at once at which
one call in a hundred finds its process full.
"""

import heapq
import json
import random

CALLS, REFUSED, STEPS = 60_000, 0.01, 12
CASES = [(2, 25), (4, 25), (8, 25), (4, 40)]


def refused(least_busy: bool, processes: int, slots: int, load: float) -> float:
    """The share of calls that find their process full at a load of so many calls at once."""
    chance = random.Random(1)
    busy, ends, now, lost = [0] * processes, list[tuple[float, int]](), 0.0, 0
    for number in range(CALLS):
        now += chance.expovariate(load)
        while ends and ends[0][0] <= now:
            busy[heapq.heappop(ends)[1]] -= 1
        chosen = busy.index(min(busy)) if least_busy else number % processes
        if busy[chosen] < slots:
            busy[chosen] += 1
            heapq.heappush(ends, (now + chance.expovariate(1.0), chosen))
        else:
            lost += 1
    return lost / CALLS


def carried(least_busy: bool, processes: int, slots: int) -> float:
    low, high = 0.2 * processes * slots, 1.1 * processes * slots
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if refused(least_busy, processes, slots, middle) <= REFUSED else (low, middle)
        )
    return low


if __name__ == "__main__":
    rows = []
    for processes, slots in CASES:
        best, in_turn = carried(True, processes, slots), carried(False, processes, slots)
        figures = {
            "least_busy": round(best, 1),
            "in_turn": round(in_turn, 1),
            "ratio": round(best / in_turn, 2),
        }
        rows.append({"processes": processes, "slots_each": slots, **figures})
    print(json.dumps({"rows": rows}, indent=1))
