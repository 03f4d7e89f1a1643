"""What `repartee doctor --latency` says of what was measured: what turns will take, what to change, and what others
have published of what could take its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repartee.agent.agent import Agent
from repartee.app.settings import Settings
from repartee.app.vendor_settings import field_of
from repartee.doctor.findings import Finding
from repartee.doctor.stage_times import Placing, stage_times
from repartee.errors import PoolTimeout, ProviderError
from repartee.latency.prediction import PERCENTS, StageTimes, gains_ms, stages_ms, to_change, voice_to_voice
from repartee.latency.published import PublishedFigure, figures_of
from repartee.providers.vendors import ACCOUNTS
from repartee_edge.regions import RegionTable

NAMES = {"stt": "speech recognition", "llm": "the language model", "tts": "the voice"}
MEASURED = {"stt": "end_of_turn", "llm": "llm", "tts": "tts"}
"""Which of the measured figures is the one that others publish of a stage."""

MOST_ALTERNATIVES = 4


@dataclass(frozen=True, slots=True)
class RegionTimes:
    """What was measured with one region's addresses of the providers; or why it could not be."""

    region: str
    times: StageTimes | None
    fault: str = ""

    def as_json(self) -> dict[str, Any]:
        """A row of the file that ``--json`` writes."""
        if self.times is None:
            return {"region": self.region, "fault": self.fault}
        stage = to_change(self.times)
        return {
            "region": self.region,
            "requests": len(self.times.pieces),
            "v2v_ms": voice_to_voice(self.times),
            "stages_ms": stages_ms(self.times),
            "gains_ms": gains_ms(self.times),
            "change": stage,
            "alternatives": [_published(one) for one in alternatives(self.times, stage)],
        }


async def measure(
    settings: Settings, agent: Agent, placing: Placing, table: RegionTable | None
) -> list[RegionTimes]:
    """One row for this deployment's settings; with a table, one for each enabled region's addresses instead, one
    after the other. All are asked from this machine. Raises ConfigurationError."""
    if table is None:
        return [await _row(settings.region, settings, agent, placing)]
    return [
        await _row(region.name, placed(settings, region.providers), agent, placing)
        for region in table.enabled
    ]


def placed(settings: Settings, addresses: Mapping[str, str]) -> Settings:
    """The settings with a region's own addresses of providers, by account."""
    urls = {account.name: field_of(account.url_variable) for account in ACCOUNTS}
    return settings.model_copy(update={urls[name]: address for name, address in addresses.items()})


async def _row(region: str, settings: Settings, agent: Agent, placing: Placing) -> RegionTimes:
    try:
        return RegionTimes(region, await stage_times(settings, agent, placing))
    except (ProviderError, PoolTimeout) as error:
        return RegionTimes(region, None, str(error))
    except TimeoutError:
        return RegionTimes(region, None, "A request took longer than 20 s.")


def alternatives(times: StageTimes, stage: str | None) -> Sequence[PublishedFigure]:
    """Those of a stage that live and are published to be quicker than what was measured."""
    if stage is None:
        return ()
    took_ms = stages_ms(times)[MEASURED[stage]]["p50"]
    return [one for one in figures_of(stage) if one.lives and one.p50_ms < took_ms][:MOST_ALTERNATIVES]


def report(rows: Sequence[RegionTimes]) -> dict[str, Any]:
    """The keys of the file that ``--json`` writes: the first row's own, and all rows as ``regions``."""
    told = [row.as_json() for row in rows]
    first = next((row for row in told if "v2v_ms" in row), {})
    return {name: value for name, value in first.items() if name != "region"} | {"regions": told}


def findings(rows: Sequence[RegionTimes]) -> list[Finding]:
    """The same in words."""
    found = []
    for row in rows:
        subject = f"latency {row.region}"
        if row.times is None:
            found.append(
                Finding(subject, row.fault, "See what is said of the provider above, and measure again.")
            )
            continue
        turns = voice_to_voice(row.times)
        shares = ", ".join(f"{turns[name]:.0f} ms ({name.upper()})" for name in PERCENTS)
        told = (
            f"Turns will take about {shares}, from the caller's last sample to the answer's first at this worker's "
            f"socket ({_stages(row.times)})."
        )
        found += [Finding(subject, told, figures=turns), _advice(subject, row.times)]
    return found


def _stages(times: StageTimes) -> str:
    took = stages_ms(times)
    return ", ".join(f"{name.replace('_', ' ')} {each['p50']:.0f}" for name, each in took.items())


def _advice(subject: str, times: StageTimes) -> Finding:
    stage = to_change(times)
    if stage is None:
        return Finding(subject, "That is within the budget of 500 ms at P90: nothing needs to change.")
    gain = gains_ms(times)[stage]
    others = alternatives(times, stage)
    listed = "; ".join(f"{one.model} {_figure(one)} ({one.source})" for one in others)
    told = f"What to change is {NAMES[stage]}: at the budget's own figure, P90 would be {gain:.0f} ms lower."
    if listed:
        told = f"{told} Published by others: {listed}."
    return Finding(subject, told)


def _figure(one: PublishedFigure) -> str:
    return f"{one.p50_ms:.0f} ms" if one.p95_ms is None else f"{one.p50_ms:.0f} ms (P95 {one.p95_ms:.0f})"


def _published(one: PublishedFigure) -> dict[str, Any]:
    figures = {"p50_ms": one.p50_ms, "p95_ms": one.p95_ms}
    return {"model": one.model, **figures, "source": one.source, "note": one.note}
