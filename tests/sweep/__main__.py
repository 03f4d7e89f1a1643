"""`python -m tests.sweep`: a call is played again for each of its awaits, with that one cancelled, or failed.

python -m tests.sweep --whole
python -m tests.sweep --kind cascade --scene "a talk" --where session/hearing.py:191 --wait 2 --error RuntimeError
"""

import argparse
import logging
import sys

from tests.contract.kinds.call import KINDS
from tests.sweep.await_points import ERRORS, Strike
from tests.sweep.judge import faults
from tests.sweep.playing import play
from tests.sweep.scenes import SCENES
from tests.sweep.sweeping import FEW, FEW_ERRORS, MANY, Case, sweep


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sweep", description=__doc__)
    parser.add_argument("--whole", action="store_true", help=f"{MANY} waits of each await in place of {FEW}")
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--scene", choices=SCENES)
    parser.add_argument("--where", help="where a task waits, e.g. session/hearing.py:191")
    parser.add_argument("--wait", type=int, default=1, help="which of its waits goes wrong")
    parser.add_argument("--error", choices=ERRORS, default="cancel")
    given = parser.parse_args()
    if given.kind and given.scene:
        strike = Strike(given.where, given.wait, given.error) if given.where else None
        return show(Case(given.kind, given.scene, strike))
    swept = sweep(MANY, ERRORS) if given.whole else sweep(FEW, FEW_ERRORS)
    for case, found in swept.wrong.items():
        print(f"{'; '.join(found)}\n    {case.command()}")
    print(f"{len(swept.awaits)} awaits, {swept.calls} calls, {len(swept.wrong)} with faults")
    return 1 if swept.wrong else 0


def show(case: Case) -> int:
    """Play one call and print what happened in it."""
    logging.basicConfig(level=logging.INFO, format="           %(levelname)s %(message)s")
    played = play(case.kind, case.scene, case.strike)
    for where, count in sorted(played.points.seen.items()):
        print(f"{count:6} {where}")
    print("struck at", played.points.struck_at, "asked at", played.scene.asked_at)
    print("heard at", [round(at, 2) for at in played.scene.client.heard_at])
    print("ended at", played.ended_at, played.outcomes, repr(played.raised))
    print("types", played.scene.client.types)
    found = faults(played)
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
