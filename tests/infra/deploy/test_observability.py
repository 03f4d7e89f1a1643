"""Dashboards and alert rules: they ask for metrics and labels that exist, and the rules fire when they should."""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from tests.programs import PROMETHEUS, program

from repartee.latency.hedging import HedgePolicy
from repartee.pool.figures import PoolFigures
from repartee.telemetry.prometheus import BreakerFigures, Metrics

from .conftest import INFRA

OBSERVABILITY = INFRA / "observability"

# What a regional worker exposes at /metrics, with the labels of each.
HISTOGRAMS = {
    "repartee_voice_to_voice_seconds": {"kind"},
    "repartee_stage_seconds": {"stage", "kind", "provider"},
    "repartee_event_loop_lag_seconds": set[str](),
}
METRICS = {
    "repartee_calls_active": set[str](),
    "repartee_call_slots": set[str](),
    "repartee_calls_total": {"outcome"},
    "repartee_turns_total": {"outcome"},
    "repartee_pool_connections": {"provider", "state"},
    "repartee_pool_hits_total": {"provider"},
    "repartee_pool_misses_total": {"provider"},
    "repartee_pool_acquire_seconds_total": {"provider"},
    "repartee_pool_failures_total": {"provider", "reason"},
    "repartee_pool_oldest_age_seconds": {"provider"},
    "repartee_pool_dials_total": {"provider", "outcome"},
    "repartee_pool_usable": {"provider"},
    "repartee_admitting": set[str](),
    "repartee_provider_errors_total": {"provider", "stage"},
    "repartee_speculations_total": {"outcome"},
    "repartee_speculation_tokens_total": {"outcome"},
    "repartee_extra_requests_total": {"kind"},
    "repartee_prefetch_total": {"outcome"},
    "repartee_prefetch_saved_seconds_total": set[str](),
    "repartee_turns_served_total": {"provider", "stage"},
    "repartee_vendor_changes_total": {"provider", "stage"},
    "repartee_breaker_state": {"provider", "stage"},
    "repartee_llm_requests_total": set[str](),
    "repartee_llm_hedged_total": set[str](),
    "repartee_llm_won_total": set[str](),
    "repartee_tickets_refused_total": {"reason"},
    "repartee_draining": set[str](),
    "repartee_line_troubles_total": {"trouble"},
    "repartee_interruptions_total": set[str](),
    "repartee_author_faults_total": {"function"},
}
# What Prometheus adds to every series, and what a histogram's buckets have.
ALWAYS = {"region", "instance", "job", "pod", "namespace", "le"}


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL expression in the rules and dashboards, with where it is."""
    for group in yaml.safe_load((OBSERVABILITY / "rules.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]
    for dashboard in dashboards():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield panel["title"], target["expr"]
    adapter = yaml.safe_load((INFRA / "kubernetes" / "prometheus-adapter-values.yaml").read_text())
    for rule in adapter["rules"]["custom"]:
        yield "prometheus-adapter", rule["metricsQuery"]


def dashboards() -> Iterator[dict[str, Any]]:
    for file in sorted((OBSERVABILITY / "grafana" / "dashboards").glob("*.json")):
        yield json.loads(file.read_text())


def known_labels(name: str) -> set[str] | None:
    """The labels of a series, or None if nothing exposes it."""
    base, _, suffix = name.rpartition("_")
    if base in HISTOGRAMS and suffix in {"bucket", "sum", "count"}:
        return HISTOGRAMS[base]
    return METRICS.get(name)


def test_every_metric_is_exposed_by_a_worker() -> None:
    found = [
        (where, name)
        for where, expression in expressions()
        for name in re.findall(r"\brepartee_\w+", expression)
        if known_labels(name) is None
    ]
    assert found == []


class NoServices:
    """A worker whose pools hold nothing."""

    hedging = (HedgePolicy(),)
    admitting = True

    def pools(self) -> Iterable[PoolFigures]:
        return ()

    def breakers(self) -> Iterable[BreakerFigures]:
        return ()


def test_the_list_is_what_the_code_exposes() -> None:
    metrics = Metrics({})
    metrics.watch(NoServices())
    exposed = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in metrics.registry.collect()
    }
    listed = METRICS.keys() | HISTOGRAMS.keys()
    assert exposed == listed


def test_every_label_is_one_that_its_metric_has() -> None:
    wrong = []
    for where, expression in expressions():
        names = set(re.findall(r"\brepartee_\w+", expression))
        available = ALWAYS.union(*(known_labels(name) or set() for name in names))
        matched = re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', expression)
        grouped = [
            label.strip() for by in re.findall(r"by \(([\w, ]+)\)", expression) for label in by.split(",")
        ]
        wrong += [(where, label) for label in (*matched, *grouped) if label not in available]
    assert wrong == []


def test_every_metric_of_note_is_on_the_dashboard() -> None:
    shown = " ".join(expression for _, expression in expressions())
    assert [name for name in (*METRICS, *HISTOGRAMS) if name not in shown] == []


def test_recorded_series_that_rules_use_are_recorded() -> None:
    rules = [
        rule
        for group in yaml.safe_load((OBSERVABILITY / "rules.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    used = {name for rule in rules for name in re.findall(r"\brepartee:[\w:]+", rule["expr"])}
    assert used <= recorded


def test_every_alert_says_what_to_do() -> None:
    rules = [
        rule
        for group in yaml.safe_load((OBSERVABILITY / "rules.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    alerts = [rule for rule in rules if "alert" in rule]
    assert len(alerts) >= 6
    for alert in alerts:
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert {"summary", "action"} <= alert["annotations"].keys()


def test_panels_do_not_overlap_and_have_a_source() -> None:
    for dashboard in dashboards():
        taken: set[tuple[int, int]] = set()
        identities = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(identities)) == len(identities)
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24, panel["title"]
            cells = {
                (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells
            if panel["type"] != "row":
                assert panel["datasource"]["uid"] == "prometheus"


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        [program("promtool", PROMETHEUS), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=OBSERVABILITY,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_configuration() -> None:
    promtool("check", "config", "prometheus.yml")


def test_alerts_fire_when_they_should() -> None:
    promtool("test", "rules", "rules.test.yml")


def test_promtool_takes_every_dashboard_expression(tmp_path: Path) -> None:
    rules = [
        {
            "record": f"panel:{number}",
            "expr": expression.replace("$__rate_interval", "5m").replace("$region", ".*"),
        }
        for number, (_, expression) in enumerate(expressions())
        if "<<" not in expression
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", file)
