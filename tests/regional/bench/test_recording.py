"""The benchmark of recordings: for its report, and not for its figures."""

import json
from pathlib import Path

import pytest

from repartee.bench.recording import recording
from repartee.transport.webrtc.libraries import opus_file


@pytest.mark.skipif(opus_file() is None, reason="libopus is not installed")
def test_what_recording_costs(tmp_path: Path) -> None:
    recording(1, tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text())
    assert 0 < told["worker_cpu_s_per_call_minute"] < told["opus"]["cpu_s_per_call_minute"] < 10
    assert told["opus"]["mb_per_call_minute"] < 0.5 < 5.7 < told["wav"]["mb_per_call_minute"] < 5.8
