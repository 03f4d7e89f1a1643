"""What the page shows of a call whose line changes while it goes on: live figures, and a turn's stages."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright, expect
from tests.e2e.conftest import ask, launch
from tests.e2e.speaking import write_questions
from tests.e2e.test_webrtc_browser import Relay
from tests.promptness import DEADLINE_S, measured

from repartee.bench.line_quality import LineQuality

SHOWS = """([id, least]) => parseFloat(document.getElementById(id).textContent) >= least"""


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay(LineQuality(rtt_ms=10))
    yield made
    made.close()


def by(relay: Relay) -> Any:
    """Answers to offers name the relay's UDP port, and no other way."""

    def answered(route: Any) -> None:
        answer = route.fetch()
        udp_only = re.sub(r"a=candidate:\S+ 1 tcp .*\r\n", "", answer.text())
        (port,) = set(re.findall(r"a=candidate:\S+ 1 udp \d+ \S+ (\d+)", udp_only))
        route.fulfill(response=answer, body=udp_only.replace(f" {port} typ", f" {relay.to(port)} typ"))

    return answered


def shows(page: Page, figure: str, least: float) -> None:
    page.wait_for_function(SHOWS, arg=[figure, least], timeout=DEADLINE_S * 1_000)


def stages_of_answer(page: Page, question: str, number: int) -> dict[str, float]:
    """Ask it, as the call's turn of this number, and hear the answer to its end."""
    ask(page, question)
    turn = page.locator("#turns .turn").first
    expect(page.locator("#turns .turn")).to_have_count(number, timeout=DEADLINE_S * 1_000)
    expect(page.locator("body")).to_have_attribute("data-state", "listening", timeout=DEADLINE_S * 1_000)
    took = {}
    for stage in ("Network", "Playback"):
        cell = turn.get_by_role("row", name=stage).locator("td.took")
        took[stage] = float(cell.inner_text().split()[0])
    return took


def test_figures_and_stages_follow_the_line(
    system: str, playwright: Playwright, relay: Relay, tmp_path: Path
) -> None:
    """The network stage grows with the round trip; the playback stage with the jitter buffer, which a line without
    jitter leaves as it is."""
    browser = launch(playwright, write_questions(tmp_path / "silence.wav", [], 120.0))
    page = browser.new_page()
    page.route("**/realtime/calls?*", by(relay))
    page.goto(system)
    machine = measured()
    page.get_by_role("button", name="Start talking").click()
    expect(page.locator("#line-kind")).to_have_text("WebRTC")
    shows(page, "line-trip", 10)
    near = stages_of_answer(page, "What are your opening hours?", 1)

    relay.becomes(LineQuality(rtt_ms=160))
    shows(page, "line-trip", 150)
    far = stages_of_answer(page, "Is there parking?", 2)

    relay.becomes(LineQuality(loss=0.05, rtt_ms=160, jitter_ms=200))
    stages_of_answer(page, "Please explain how you work.", 3)  # the jitter buffer grows while it listens
    shows(page, "line-loss", 0.1)
    shows(page, "line-jitter", 5)
    shaken = stages_of_answer(page, "What are your opening hours?", 4)
    browser.close()

    def grew(stage: str, after: dict[str, float], before: dict[str, float], least_ms: float) -> None:
        more_ms = after[stage] - before[stage]
        machine.promise(more_ms >= least_ms, f"{stage} grew by {more_ms:.0f} ms, at least {least_ms:.0f}")

    grew("Network", far, near, 130)
    grew("Playback", shaken, far, 40)
    more_ms = abs(far["Playback"] - near["Playback"])
    machine.promise(more_ms <= 60, f"the round trip alone changed playback by {more_ms:.0f} ms")
