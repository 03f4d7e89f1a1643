"""A caller's figures and the server's are of the same turn: what lies between them is the way there and back."""

from collections.abc import Iterator
from statistics import median

import httpx
import pytest
from tests.promptness import DEADLINE_S, measured
from tests.regional.app.running import region, stand_ins

from repartee.client.call import CallOptions, place_call
from repartee.client.report import turn_report
from repartee.client.speech import Question
from repartee.launch.front_desk import agent
from repartee.standins.synthesiser import synthesise

APART_MS = 5.0
QUESTIONS = ("How do you work?", "What were my last transactions?")


@pytest.fixture(scope="module")
def providers() -> Iterator[dict[str, str]]:
    with stand_ins("budget", light=False) as variables:
        yield variables


def spoken(text: str) -> Question:
    """To its very last sample: nothing but the caller's silence follows."""
    return Question(text, synthesise(text, rate_hz=24_000).pcm)


async def test_a_callers_figure_is_the_servers_and_the_network_with_a_filler_between(
    providers: dict[str, str],
) -> None:
    machine = measured()
    async with region(providers, agent=agent) as running:
        options = CallOptions(running.url, "")
        async with place_call(options) as call:
            await call.greeting()
            turns = [await call.ask(spoken(text)) for text in QUESTIONS]
            pings = [1000 * await (await call.socket.ping()) for _ in range(5)]  # type: ignore[attr-defined]
        await running.until_idle()
        async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
            [kept] = (await client.get(f"{running.http}/v1/calls")).json()["calls"]
            record = (await client.get(f"{running.http}/v1/calls/{kept['call_id']}")).json()
            hour = (await client.get(f"{running.http}/v1/figures")).json()["windows"]["1h"]
    counted = {(one["stage"], one["kind"]) for one in hour["latencies"]}
    clients = ("capture", "network", "playback")
    assert {(stage, kind) for stage in clients for kind in ("plain", "tool")} <= counted
    reports = [turn_report(turn, number, None) for number, turn in enumerate(turns, 1)]
    assert [report["kind"] for report in reports] == ["plain", "tool"]
    assert reports[1]["filler_ms"] is not None
    heard = {entry["turn_id"]: entry for entry in record["timeline"] if entry["event"] == "heard"}
    for turn, report in zip(turns, reports, strict=True):
        assert turn.latency is not None
        stages, servers = report["stages_ms"], turn.latency["stages_ms"]
        assert sum(stages.values()) == pytest.approx(report["voice_to_voice_ms"], abs=1)
        whole = turn.latency["voice_to_voice_ms"] + stages["capture"] + median(pings) + stages["playback"]
        apart = report["voice_to_voice_ms"] - whole
        machine.promise(
            abs(apart) <= APART_MS, f"the figures of {report['question']!r} are {apart:.1f} ms apart"
        )
        for stage, ms in servers.items():
            machine.promise(abs(stages[stage] - ms) <= APART_MS, f"{stage}: {stages[stage]} and {ms} ms")
        assert heard[report["turn_id"]]["network_ms"] == pytest.approx(stages["network"], abs=0.1)


async def test_a_question_with_a_pause_in_it_is_answered(providers: dict[str, str]) -> None:
    parts = ("What are your opening hours", "on a Saturday?")
    pause = bytes(2 * 24_000)  # a second, after which a turn is over
    pcm = pause.join(synthesise(part, rate_hz=24_000).pcm for part in parts)
    async with region(providers, agent=agent) as running:
        async with place_call(CallOptions(running.url, "")) as call:
            await call.greeting()
            turn = await call.ask(Question(" ".join(parts), pcm))
        await running.until_idle()
    report = turn_report(turn, 1, None)
    assert report["answered"] and report["fault"] is None
    assert report["voice_to_voice_ms"] is not None
    assert len(turn.heard) > 1, "the server took it for several turns"
