"""The exporters that come along, and those that an operator names."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import generate_latest
from tests.regional.telemetry.samples import PROVIDERS, call_ended, turn_over

from repartee.errors import ConfigurationError
from repartee.telemetry import events as t
from repartee.telemetry.exporters import own_exporters
from repartee.telemetry.labels import MOST_LABELS
from repartee.telemetry.prometheus import Metrics
from repartee.telemetry.tally import TurnFigures, TurnTally
from repartee.telemetry.turn_log import TurnLog, open_turn_log

SHARED: Any = {"call_id": "call", "at_s": 1_000.0, "region": "here", "agent": "desk:agent"}


def test_metrics_are_made_of_the_stream() -> None:
    metrics = Metrics(PROVIDERS)
    metrics.export(turn_over("answered", 400.0))
    metrics.export(turn_over("unanswered"))
    metrics.export(t.SpeculationSettled(**SHARED, outcome="released", tokens=700))
    metrics.export(t.ExtraRequestMade(**SHARED, kind="hedge"))
    metrics.export(t.ProviderFailed(**SHARED, stage="llm", provider="l", message="It is down."))
    metrics.export(t.CallBegan(**SHARED, providers=PROVIDERS))
    metrics.export(t.Interrupted(**SHARED, turn_id=1, heard_ms=120.0))
    metrics.export(t.AuthorFault(**SHARED, what="Tool lookup", error="KeyError", place="bank.py:3"))
    metrics.export(call_ended("too_long"))
    lines = generate_latest(metrics.registry).decode().splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    expected = {
        'repartee_turns_total{outcome="answered"}': 1,
        'repartee_turns_total{outcome="unanswered"}': 1,
        'repartee_turns_total{outcome="interrupted"}': 0,
        'repartee_voice_to_voice_seconds_sum{kind="plain"}': 0.4,
        'repartee_voice_to_voice_seconds_count{kind="plain"}': 1,
        'repartee_voice_to_voice_seconds_count{kind="tool"}': 0,
        'repartee_stage_seconds_sum{kind="plain",provider="l",stage="llm"}': 0.4,
        'repartee_speculations_total{outcome="released"}': 1,
        'repartee_speculation_tokens_total{outcome="released"}': 700,
        'repartee_speculation_tokens_total{outcome="resumed"}': 0,
        'repartee_extra_requests_total{kind="hedge"}': 1,
        'repartee_extra_requests_total{kind="vendor"}': 0,
        'repartee_provider_errors_total{provider="l",stage="llm"}': 1,
        'repartee_provider_errors_total{provider="s",stage="stt"}': 0,
        'repartee_calls_total{outcome="too_long"}': 1,
        "repartee_interruptions_total": 1,
        'repartee_author_faults_total{function="Tool lookup"}': 1,
        'repartee_prefetch_total{outcome="hit"}': 1,
        'repartee_prefetch_total{outcome="miss"}': 2,
        'repartee_prefetch_total{outcome="wasted"}': 1,
        "repartee_prefetch_saved_seconds_total": 0.25,
    }
    assert {name: float(figures[name]) for name in expected} == expected


def test_a_turn_is_a_line_of_the_log() -> None:
    out = io.StringIO()
    log = TurnLog(out)
    for event in (
        turn_over("answered", 400.0, first=True),
        call_ended(),
        turn_over("unanswered", turn_id=2, kind="apology"),
    ):
        log.export(event)
    log.close()
    answered, unanswered = map(json.loads, out.getvalue().splitlines())
    shared = {"call_id": "call", "region": "here", "providers": PROVIDERS}
    assert answered == {
        **shared,
        "turn_id": 1,
        "outcome": "answered",
        "voice_to_voice_ms": 400.0,
        "stages_ms": {"llm": 400.0},
        "speculative": False,
        "filler_ms": None,
        "prefetch": None,
        "kind": "plain",
        "first": True,
        "over_budget": False,
        "speech_end_certain": True,
    }
    assert unanswered == {
        **shared,
        "turn_id": 2,
        "outcome": "unanswered",
        "kind": "apology",
        "first": False,
    }


def test_the_log_is_a_file_that_is_added_to_or_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "turns.jsonl"
    file.write_text("before\n")
    for path in (str(file), ""):
        log = open_turn_log(path)
        log.export(turn_over("answered", 400.0))
        log.close()
    assert file.read_text().splitlines()[0] == "before"
    assert [len(file.read_text().splitlines()), capsys.readouterr().out.count("\n")] == [2, 1]
    assert not sys.stdout.closed


def test_a_tally_counts_turns_until_they_are_taken() -> None:
    tally = TurnTally()
    for event in (
        turn_over("answered", 400.0),
        call_ended(),
        turn_over("unanswered"),
        turn_over("superseded"),
        turn_over("answered", 1_900.0, kind="tool"),
        turn_over("answered", 430.0, kind="hit"),
    ):
        tally.export(event)
    assert tally.take() == TurnFigures((400.0, 430.0), 1, {"llm": (400.0, 430.0)}), (
        "turns with tools leave the P90 and its alarm alone"
    )
    assert tally.take() == TurnFigures()


def test_exporters_are_named_by_file_or_module_and_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "class Keeper:\n    def export(self, event): ...\n    def close(self): ...\n"
    (tmp_path / "one_exporter.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    made = own_exporters(f"{tmp_path}/one_exporter.py:Keeper, one_exporter:Keeper,")
    assert [type(one).__name__ for one in made] == ["Keeper", "Keeper"]
    assert own_exporters("") == []


@pytest.mark.parametrize(
    ("body", "name", "said"),
    [
        ("", "Exporter", "has no 'Exporter', which should be an exporter"),
        ("Exporter = 5", "Exporter", "cannot be called. Name the exporter's class."),
        ("class Exporter:\n    def __init__(self, url): ...", "Exporter", "could not be made: TypeError"),
        (
            "class Exporter:\n    def export(self, event): ...",
            "Exporter",
            "has no close: an exporter has both",
        ),
        ("class Exporter: ...", "Exporter", "has no export and no close"),
        ("import nowhere_at_all", "Exporter", ":1: ModuleNotFoundError"),
        ("", "", "does not name an exporter. Write module:name"),
    ],
)
def test_what_is_no_exporter_is_refused_with_what_to_do(
    tmp_path: Path, body: str, name: str, said: str
) -> None:
    (tmp_path / "mine.py").write_text(body)
    spec = f"{tmp_path}/mine.py:{name}" if name else f"{tmp_path}/mine.py"
    with pytest.raises(ConfigurationError, match="REPARTEE_EXPORTERS:") as refused:
        own_exporters(spec)
    assert said in str(refused.value)


def test_all_faults_are_named_at_once_and_what_was_made_is_closed(tmp_path: Path) -> None:
    body = "closed = []\nclass Keeper:\n    def export(self, event): ...\n    def close(self): closed.append(1)\n"
    (tmp_path / "fine.py").write_text(body)
    with pytest.raises(ConfigurationError) as refused:
        own_exporters(f"nowhere_1:A,{tmp_path}/fine.py:Keeper,nowhere_2:B")
    assert "nowhere_1" in str(refused.value)
    assert "nowhere_2" in str(refused.value)
    assert sys.modules["agent_file_fine"].closed == [1]


def test_no_label_grows_with_calls_callers_vendors_or_an_authors_functions() -> None:
    metrics = Metrics(PROVIDERS)

    def series() -> int:
        return len(
            [line for line in generate_latest(metrics.registry).splitlines() if not line.startswith(b"#")]
        )

    def call(number: int) -> None:
        shared: Any = {**SHARED, "call_id": f"call-{number}", "agent": f"agent-{number}"}
        metrics.export(t.CallBegan(**shared, providers=PROVIDERS, caller=f"+1555{number}"))
        over = msgspec.structs.replace(turn_over("answered", 400.0), providers={"llm": f"vendor-{number}"})
        metrics.export(over)
        metrics.export(
            t.AuthorFault(**shared, what=f"Tool t{number}", error="KeyError", place=f"x.py:{number}")
        )
        metrics.export(call_ended())

    for number in range(MOST_LABELS + 1):
        call(number)
    bounded = series()
    for number in range(1_000, 2_000):
        call(number)
    assert series() == bounded
