"""The page's figures: a filler's wait is counted once. The clock's own file, run by Node with a scripted clock."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import repartee.app

PAGE = Path(repartee.app.__file__).parent / "page"
SCRIPT = """
let now = 0;
const performance = { now: () => now };
const speechEnd = (samples) => (samples.some((one) => one) ? samples.findLastIndex((one) => one) + 1 : null);
%s
const clock = new TurnClock(1000);
const frame = (value) => clock.sent({ pcm: new Int16Array(20).fill(value).buffer, capturedAt: now });
frame(1000);
now = 400; frame(0); clock.received("filler"); clock.heard("filler", 420);
now = 1780; frame(0); clock.received("answer"); clock.heard("answer", 2420);
const server = { end_of_turn: 300, llm: 100, tool: 1300, tts: 70, filler: 630, lead_in: 0 };
console.log(JSON.stringify(clock.stages("answer", server)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_a_fillers_wait_is_counted_once() -> None:
    source = (PAGE / "turn-clock.js").read_text().replace("export class", "class")
    source = "\n".join(line for line in source.splitlines() if not line.startswith("import "))
    done = subprocess.run(
        ["node", "-e", SCRIPT % source], capture_output=True, text=True, timeout=60, check=True
    )
    stages = json.loads(done.stdout)
    assert sum(stages.values()) == pytest.approx(2_420, abs=5), "heard 2,420 ms after the question's end"
    assert stages["filler"] == 630
    assert stages["playback"] == pytest.approx(10, abs=1)
    assert stages["network"] == pytest.approx(10, abs=1)
