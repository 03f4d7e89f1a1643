"""`repartee bench regression`: exact, against the committed baseline, and 5 ms in any stage are found."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from repartee.agent.toolbox import Toolbox
from repartee.bench import regression, seeded_world
from repartee.bench.regression import BASELINE, play, slower
from repartee.bench.seeded_world import SeededUtterance
from repartee.cli.main import application
from repartee.errors import VoiceError
from repartee.providers.hedged_llm import HedgedLLM

FEW = 400
LATER_S = 0.005


def run(*words: str) -> Any:
    return CliRunner().invoke(application(["bench", "regression"]), ["bench", "regression", *words])


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of some turns, as the program is now."""
    path = tmp_path_factory.mktemp("baseline") / "baseline.json"
    assert run("--turns", str(FEW), "--baseline", str(path), "--write-baseline").exit_code == 0
    return path


def test_the_pipeline_is_no_slower_than_its_baseline(tmp_path: Path) -> None:
    result = run("--json", str(tmp_path / "out.json"))
    report = json.loads((tmp_path / "out.json").read_text())
    assert result.exit_code == 0, result.output
    assert sum(kind["turns"] for kind in report["kinds"].values()) == 10_000
    assert set(report["kinds"]) == {"plain", "hit", "tool", "apology"}
    assert all({"p50_ms", "p90_ms", "baseline_p50_ms"} <= kind.keys() for kind in report["kinds"].values())
    assert report["seconds"] > 0


def test_two_runs_are_equal() -> None:
    first, second = ({kind: found.as_json() for kind, found in play(FEW).items()} for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("stage", "kinds"),
    [
        ("llm", {"plain", "hit", "tool"}),
        ("tts", {"plain", "hit", "tool"}),
        ("tool", {"tool"}),
        ("end_of_turn", {"plain", "hit", "tool"}),
    ],
)
def test_5_ms_more_in_a_stage_are_found_and_the_stage_is_named(
    stage: str, kinds: set[str], baseline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_down(stage, monkeypatch)
    result = run("--turns", str(FEW), "--baseline", str(baseline))
    assert result.exit_code == 1
    told = " ".join(result.output.split())
    for kind in kinds:
        assert f"slower {kind} turns are slower" in told, told
        assert f"the stage {stage} takes" in told, told


def slow_down(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five milliseconds more, where the program does this."""
    reply, sounds, ran, ask = HedgedLLM.reply, SeededUtterance.sounds, Toolbox.run, seeded_world.ask

    async def slow_reply(self: HedgedLLM, request: Any) -> AsyncGenerator[Any, None]:
        await asyncio.sleep(LATER_S)
        async for part in reply(self, request):
            yield part

    async def slow_sounds(self: SeededUtterance) -> AsyncGenerator[Any, None]:
        async for sound in sounds(self):
            await asyncio.sleep(LATER_S)
            yield sound

    async def slow_run(self: Toolbox, *arguments: Any) -> str:
        await asyncio.sleep(LATER_S)
        return await ran(self, *arguments)

    async def slow_ask(question: Any, ears: Any, draws: Any) -> None:
        hears = ears.hears
        ears.hears = lambda event: asyncio.get_running_loop().call_later(LATER_S, hears, event)
        await ask(question, ears, draws)
        ears.hears = hears

    match stage:
        case "llm":
            monkeypatch.setattr(HedgedLLM, "reply", slow_reply)
        case "tts":
            monkeypatch.setattr(SeededUtterance, "sounds", slow_sounds)
        case "tool":
            monkeypatch.setattr(Toolbox, "run", slow_run)
        case "end_of_turn":
            monkeypatch.setattr(regression, "ask", slow_ask)


def test_a_baseline_of_another_number_of_turns_is_refused(baseline: Path) -> None:
    with pytest.raises(VoiceError, match="of 400 turns, not of 2000"):
        raise run("--turns", "2000", "--baseline", str(baseline)).exception


def test_a_kind_that_has_become_quicker_is_no_fault() -> None:
    known = json.loads(BASELINE.read_text())["kinds"]
    quicker = {kind: {**found, "p50_ms": 1.0, "p90_ms": 1.0} for kind, found in known.items()}
    assert slower(quicker, known) == []
