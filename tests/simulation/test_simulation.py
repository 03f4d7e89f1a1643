"""Whatever everybody does: 500 conversations here, 10,000 with `make simulate`."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.simulation import caller, model, recogniser, tools, voice
from tests.simulation.__main__ import command_for
from tests.simulation.simulating import judged, simulate

ROOT = Path(__file__).parents[2]
CONVERSATIONS = 500

WAYS = {
    "voice": {*voice.WAYS},
    "model": {*model.WAYS, *model.COUNTS, "calls tools without end"},
    "recogniser": {*recogniser.WAYS, *recogniser.OPENING},
    "tool": {*tools.WAYS},
    "caller": {*caller.WAYS},
}
"""Everything that may go wrong, by whose fault."""


@pytest.mark.timeout(900)
def test_nobody_is_left_in_silence_and_nothing_is_remembered_that_was_not_heard() -> None:
    wrong, drawn = simulate(1, CONVERSATIONS)
    assert not wrong, "\n".join(f"{command_for(seed)}: {'; '.join(found)}" for seed, found in wrong.items())
    happened: dict[str, set[str]] = {actor: set() for actor in WAYS}
    for actor, way in drawn:
        happened[actor].add(way)
    assert happened == WAYS, "each fault was drawn"


def test_the_same_seed_plays_the_same_conversation() -> None:
    one, other = (judged(7) for _ in range(2))
    assert one == other
    assert isinstance(one[1], Counter)


def test_a_seed_that_fails_is_printed_and_the_printed_command_fails_alike(
    tmp_path: Path,
) -> None:
    """With a fault planted in the product: the apology is lost."""
    (tmp_path / "sitecustomize.py").write_text(
        "from repartee.turn.session_watch import SessionWatch, Verdict\n"
        "SessionWatch.look = lambda self, now, owed_since, *, in_vain=False: Verdict.KEEP\n"
    )
    paths = [str(tmp_path), str(ROOT), str(ROOT / "regional")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.simulation", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    many = ran("--conversations", "150")
    assert many.returncode == 1
    seed = next(line for line in many.stdout.splitlines() if line.startswith("seed ")).split()[1].rstrip(":")
    command = command_for(int(seed))
    assert command in many.stdout
    again = ran(*command.split()[3:])
    assert again.returncode == 1
    assert "silence" in again.stdout
