"""A call played again for each of its awaits, with that one cancelled, or failed, in several processes."""

import gc
import logging
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.fresh_processes import fresh_processes
from tests.sweep.await_points import CANCEL, AwaitPoints, Strike
from tests.sweep.judge import faults
from tests.sweep.playing import play
from tests.sweep.scenes import SCENES

FEW = 2
"""Of an await that comes up again and again: its first wait, and one in mid-call ..."""

SPINNING_S = 20.0
"""A call that takes so long, of real time, turns in a circle."""

FEW_ERRORS = (CANCEL, "fault")

MANY = 12
"""... or so many of them, evenly through the call, in the whole sweep."""


@dataclass(frozen=True, slots=True)
class Case:
    """One call to play."""

    kind: str
    scene: str
    strike: Strike | None

    def command(self) -> str:
        """What plays it again."""
        said = f'python -m tests.sweep --kind "{self.kind}" --scene "{self.scene}"'
        return said if self.strike is None else f"{said} {self.strike.arguments()}"


def scenes() -> list[tuple[str, str]]:
    """Each scene, with each kind of call that has it."""
    return [(kind, name) for name, scene in SCENES.items() for kind in scene.kinds]


def rehearsed(scene: tuple[str, str]) -> AwaitPoints:
    """Play a scene with nothing gone wrong."""
    played = play(*scene)
    assert not (found := faults(played)), (scene, found)
    return played.points


def cases(scene: tuple[str, str], points: AwaitPoints, most: int, errors: Iterable[str]) -> Iterator[Case]:
    """Every await of a scene, cancelled and failed, at ``most`` of its waits."""
    for where, count in sorted(points.seen.items()):
        for wait in chosen(count, most):
            for error in errors:
                yield Case(*scene, Strike(where, wait, error))


def chosen(count: int, most: int) -> list[int]:
    """Which of so many waits go wrong: the first, and others evenly through the call."""
    return sorted({1 + count * place // most for place in range(most)})


def judged(case: Case) -> list[str]:
    """Play one, and say what was wrong."""
    try:
        return faults(play(case.kind, case.scene, case.strike))
    except KeyboardInterrupt:
        return ["the call spins"]
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]


def judged_in_time(case: Case) -> tuple[Case, list[str]]:
    """The same in a process of its own: on virtual time, nothing but a circle can last."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, SPINNING_S, SPINNING_S)
    try:
        return case, judged(case)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def ready() -> None:
    """Keep nothing of a call that has been judged: neither its log, which holds its frames, nor what was there before
    it and need not be looked through for garbage."""
    logging.lastResort = None
    logging.getLogger().handlers.clear()
    gc.freeze()


@dataclass(slots=True)
class Swept:
    """What came of a sweep. ``awaits``: the lines at which the calls' tasks have waited."""

    awaits: set[str]
    through: set[str]
    calls: int
    wrong: dict[Case, list[str]]


def sweep(most: int, errors: Iterable[str], processes: int | None = None) -> Swept:
    """Play them all; how many there were, and those that went wrong."""
    swept = Swept(set(), set(), 0, {})
    with fresh_processes(processes, ready) as pool:
        todo: list[Case] = []
        for scene, points in zip(scenes(), pool.map(rehearsed, scenes()), strict=True):
            swept.awaits |= points.seen.keys()
            swept.through |= points.through
            todo += cases(scene, points, most, errors)
        for case, found in pool.map(judged_in_time, todo, chunksize=8):
            swept.calls += 1
            if found:
                swept.wrong[case] = found
    return swept
