"""How long tests wait, and what they make of a machine that has other things to do.

A deadline is no promise: it only keeps a test from hanging when what it waits for never comes. It is long, so that
a busy machine reaches it. A promise is a figure that the test asserts; where others took so much of the processors
meanwhile that the figure says nothing, the test is skipped with a line that says so. The figure stays what it is.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

DEADLINE_S = 60.0
"""How long to wait for what is sure to come."""

BUSY_SHARE = 0.2
"""Others that take more than this share of all processors make the machine a busy one."""

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Machine:
    """What became of the processors since the measurement began. Linux; elsewhere it is never busy."""

    started: tuple[float, float, float]

    def promise(self, kept: bool, what: str) -> None:
        """Assert that a promise about time was kept; skip if it was not, and others took the processors."""
        if kept:
            return
        others = self.others()
        if others > BUSY_SHARE:
            pytest.skip(f"the machine is busy (others took {others:.0%} of it): {what}")
        pytest.fail(what)

    def others(self) -> float:
        """The share of all processors that went to processes that are none of ours."""
        total, busy, own = (now - then for now, then in zip(_times(), self.started, strict=True))
        return max(0.0, busy - own) / total if total > 0 else 0.0


def measured() -> Machine:
    """Watch the processors from here on."""
    return Machine(_times())


def _times() -> tuple[float, float, float]:
    """Seconds of all processors so far: in all, not idle, and spent by this process and those it has started."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0, 0.0, 0.0
    ticks = [int(field) for field in stat.read_text().split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) / TICKS_PER_S, (sum(ticks) - idle) / TICKS_PER_S, _own()


def _own() -> float:
    """This process's time, its ended children's, and that of those that run."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        spent[int(entry.name)] = sum(map(int, fields[11:15])) / TICKS_PER_S

    def ours(pid: int) -> bool:
        while pid:
            if pid == os.getpid():
                return True
            pid = parents.get(pid, 0)
        return False

    return sum(seconds for pid, seconds in spent.items() if ours(pid))
