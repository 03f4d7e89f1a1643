"""docs/extending.md: the exporter that it shows works as pasted, over a real call."""

import json
import re
from pathlib import Path

import pytest
from tests.regional.app.running import calling, region, spoken_turn

PAGE = (Path(__file__).parents[3] / "docs" / "extending.md").read_text()


def example() -> str:
    """The exporter's file."""
    found = re.search(r"<!-- exporter -->\n```python\n(.*?)```\n<!-- /exporter -->", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_it_is_one_file_of_forty_lines_at_most() -> None:
    assert len(example().splitlines()) <= 40


async def test_the_exporter_as_pasted_exports_a_calls_slow_turn(
    providers: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_turns.py").write_text(example())
    out = tmp_path / "slow-turns.jsonl"
    monkeypatch.setenv("SLOW_TURNS", str(out))
    monkeypatch.setenv("SLOW_TURN_MS", "1")
    async with region({**providers, "REPARTEE_EXPORTERS": f"{tmp_path}/slow_turns.py:SlowTurns"}) as worker:
        async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
            told = (await spoken_turn(websocket))[-1]
        await worker.until_idle()
    [line] = [json.loads(line) for line in out.read_text().splitlines()]
    assert line == {
        "call": told["call_id"],
        "agent": "plain",
        "region": "local",
        "ms": told["voice_to_voice_ms"],
        "stages_ms": told["stages_ms"],
    }
