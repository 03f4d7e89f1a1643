"""Every await of a call goes wrong once: cancelled from outside, and failed. The call goes on, or ends with a reason.

Each at two of its waits here; with every kind of failure, at twelve, with `make sweep`.
"""

import ast
import re
import shlex
from collections.abc import Iterable, Iterator

import pytest
from tests.contract.kinds.call import CASCADE
from tests.sweep.__main__ import main
from tests.sweep.await_points import CANCEL, PRODUCT, Strike
from tests.sweep.sweeping import FEW, FEW_ERRORS, Case, chosen, judged, sweep

from repartee.session.shell import Shell

SWEPT = ("session", "agent")
"""The folders whose every await is waited at in some scene ..."""

UNSEEN = {"session/plain_transport.py": "await self._transport"}
"""... but for these, which hand over to a telephone's own."""


@pytest.mark.timeout(600)
def test_whichever_await_goes_wrong_nobody_hangs_and_everything_is_given_back() -> None:
    swept = sweep(FEW, FEW_ERRORS)
    told = (f"{case.command()}: {'; '.join(found)}" for case, found in swept.wrong.items())
    assert not swept.wrong, "\n".join(told)
    assert swept.calls >= len(FEW_ERRORS) * len(swept.awaits)
    missing = [f"{place} {words}" for place, lines, words in awaits() if not lines & swept.through]
    assert [place for place in missing if not is_unseen(place)] == []
    assert len(swept.awaits) >= 40, "the lines at which some task of a call waits"


def awaits(folders: Iterable[str] = SWEPT) -> Iterator[tuple[str, set[str], str]]:
    """Each await of the folders: where it is, the lines that it stands in, and its words."""
    for path in sorted(file for folder in folders for file in (PRODUCT / folder).glob("*.py")):
        name = str(path.relative_to(PRODUCT))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Await | ast.AsyncFor):
                end = node.iter.end_lineno if isinstance(node, ast.AsyncFor) else node.end_lineno
                lines = {f"{name}:{line}" for line in range(node.lineno, (end or node.lineno) + 1)}
                yield f"{name}:{node.lineno}", lines, ast.unparse(node).partition("\n")[0]


def is_unseen(place: str) -> bool:
    return any(re.match(rf"{file}:\d+ {re.escape(words)}", place) for file, words in UNSEEN.items())


def test_a_hang_is_found_and_told_with_the_command_that_plays_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a fault planted in the product: nobody hears of a task that somebody else cancels."""
    [where] = [place for place, _, words in awaits(["transport"]) if words == "await self._filled.wait()"]
    case = Case(CASCADE, "a talk", Strike(where, 1, CANCEL))
    assert judged(case) == []
    monkeypatch.setattr(Shell, "_task_done", lambda self, task: self._tasks.discard(task))
    assert "nothing heard for 8 s" in str(judged(case))
    monkeypatch.setattr("sys.argv", shlex.split(case.command().replace("python -m ", "")))
    assert main() == 1


def test_waits_are_chosen_evenly() -> None:
    assert chosen(1, 2) == [1]
    assert chosen(100, 2) == [1, 51]
    assert chosen(3, 12) == [1, 2, 3]
