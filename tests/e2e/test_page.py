"""The browser page, through the edge, with a real browser whose microphone hears spoken questions."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, Playwright, WebSocket, expect
from tests.e2e.conftest import launch
from tests.e2e.speaking import write_questions

SPOKEN_MS = 20_000


class Heard:
    """The audio that came in over the page's socket."""

    def __init__(self, page: Page) -> None:
        self.pcm = bytearray()
        page.on("websocket", self._follow)

    def _follow(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda data: self.pcm.extend(data) if isinstance(data, bytes) else None)

    @property
    def sounding_ms(self) -> float:
        loud = np.abs(np.frombuffer(bytes(self.pcm), dtype="<i2").astype(int)) > 300
        return float(loud.sum()) / 24


def test_a_spoken_conversation_with_an_interruption(
    system: str, playwright: Playwright, tmp_path: Path
) -> None:
    questions = [(1.5, "Please explain how you work."), (4.5, "What are your opening hours?")]
    browser = launch(playwright, write_questions(tmp_path / "questions.wav", questions))
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    heard = Heard(page)
    page.goto(system)
    page.get_by_role("button", name="Start talking").click()

    expect(page.locator("body")).to_have_attribute("data-state", "speaking", timeout=SPOKEN_MS)
    you, agent = page.locator(".line.you .words"), page.locator(".line.agent .words")
    # A browser without the time to play its recording leaves gaps in it: a word of a question may be misheard.
    expect(you.nth(0)).to_have_text(re.compile("explain|work", re.I))
    expect(agent.nth(0)).to_contain_text("That is a good question")

    # The second question cuts the first answer off; what was not heard of it is struck out.
    expect(agent.nth(0)).to_contain_text("interrupted", timeout=SPOKEN_MS)
    expect(you.nth(1)).to_have_text(re.compile("open|hours", re.I), timeout=SPOKEN_MS)
    expect(agent.nth(1)).to_contain_text("We open at eight thirty", timeout=SPOKEN_MS)
    expect(page.locator("#turns .turn")).to_have_count(2, timeout=SPOKEN_MS)
    assert heard.sounding_ms > 1_000

    latest = page.locator("#turns .turn").first
    for stage in ("End of turn", "Model", "Voice", "Network", "Playback"):
        expect(latest.get_by_role("row", name=stage)).to_be_visible()
    total = float(latest.locator(".turn-ms").inner_text().split()[0])
    took = [float(text.split()[0]) for text in latest.locator("td.took").all_inner_texts()]
    assert sum(took) == pytest.approx(total, abs=len(took))
    assert 300 < total < 2_000
    expect(page.locator("#where")).to_have_text(re.compile("us-east|eu-west"))
    expect(page.locator("#p90")).to_have_text(re.compile(r"^\d+ ms$"))

    page.get_by_role("button", name="End call").click()
    expect(page.get_by_role("button", name="Call again")).to_be_visible()
    assert faults == []
    browser.close()


def test_without_a_microphone_one_can_type(system: str, playwright: Playwright) -> None:
    browser = launch(playwright, None)
    page = browser.new_page()
    page.goto(system)
    page.get_by_role("button", name="What are your opening hours?").click()
    expect(page.get_by_role("alert")).to_contain_text("microphone", timeout=10_000)
    expect(page.locator(".line.agent .words")).to_contain_text("We open at eight thirty", timeout=10_000)
    expect(page.locator("#turns .turn")).to_have_count(1, timeout=10_000)
    browser.close()
