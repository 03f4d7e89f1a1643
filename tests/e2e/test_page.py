"""The browser page, through the edge, with a real browser whose microphone hears spoken questions."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Playwright, expect
from tests.e2e.conftest import launch, own_environment
from tests.e2e.speaking import write_questions
from tests.promptness import DEADLINE_S

REPARTEE = Path(sys.executable).parent / "repartee"
SPOKEN_MS = 20_000
QUESTIONS = [
    (2.0, "What is the balance of my account?"),
    (9.5, "Please explain how you work."),
    (4.5, "What are your opening hours?"),
]


def saved(page: Page, button: str) -> str:
    """What the page has the browser keep as a file."""
    with page.expect_download() as downloading:
        page.get_by_role("button", name=button).click()
    return downloading.value.path().read_text()


def test_three_turns_by_webrtc_with_an_interruption(
    system: str, playwright: Playwright, tmp_path: Path
) -> None:
    browser = launch(playwright, write_questions(tmp_path / "questions.wav", QUESTIONS))
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.goto(system)
    page.get_by_role("button", name="Start talking").click()

    # A browser without the time to play its recording leaves gaps in it: a word of a question may be misheard.
    you, agent = page.locator(".line.you .words"), page.locator(".line.agent .words")
    expect(you.nth(0)).to_have_text(re.compile("balance|account", re.I), timeout=SPOKEN_MS)
    expect(page.locator("body")).to_have_attribute("data-state", "speaking", timeout=SPOKEN_MS)
    expect(page.locator(".line.agent.speaking")).to_have_count(1)
    expect(page.locator(".line.agent .name").first).to_have_text("Linden and Ash")
    expect(agent.nth(0)).to_contain_text("1240")
    the_tools_are_shown(page)
    the_line_is_shown(page)

    # The third question cuts the second answer off; what was not heard of it is struck out.
    expect(you.nth(1)).to_have_text(re.compile("explain|work", re.I), timeout=SPOKEN_MS)
    expect(agent.nth(1)).to_contain_text("That is a good question", timeout=SPOKEN_MS)
    expect(page.locator(".line.you.speaking")).to_have_count(1, timeout=SPOKEN_MS)
    expect(agent.nth(1)).to_contain_text("interrupted", timeout=SPOKEN_MS)
    expect(you.nth(2)).to_have_text(re.compile("open|hours", re.I), timeout=SPOKEN_MS)
    expect(agent.nth(2)).to_contain_text("We open at eight thirty", timeout=SPOKEN_MS)
    expect(page.locator("#turns .turn")).to_have_count(3, timeout=SPOKEN_MS)
    the_waterfall_sums_up(page.locator("#turns .turn").first)
    the_vendors_are_named(page)

    page.get_by_role("button", name="End call").click()
    expect(page.get_by_role("button", name="Call again")).to_be_visible()
    told = saved(page, "Save transcript")
    assert re.search(r"with Linden and Ash, (us-east|eu-west)\n", told)
    assert re.search(r"\nLinden and Ash \(after \d+ ms\): We open at eight thirty", told)
    assert "[get_balance {" in told and "[interrupted]" in told
    page.get_by_role("tab", name="Events").click()
    the_record_has_what_was_heard(
        [json.loads(line) for line in saved(page, "Save events").splitlines()], tmp_path
    )
    assert faults == []
    browser.close()


def the_tools_are_shown(page: Page) -> None:
    balance = page.locator(".line.tool", has_text="get_balance")
    expect(balance).to_have_count(1)
    balance.locator("summary").click()
    expect(balance.locator(".given")).to_contain_text('"account": "checking"')
    expect(balance.locator(".gave")).to_contain_text('"balance": 1240.5')


def the_line_is_shown(page: Page) -> None:
    expect(page.locator("#line-kind")).to_have_text("WebRTC")
    expect(page.locator("#line-trip")).to_have_text(re.compile(r"^\d+ ms$"))
    expect(page.locator("#line-loss")).to_have_text(re.compile(r"^[\d.]+ %$"))
    expect(page.locator("#line-jitter")).to_have_text(re.compile(r"^\d+ ms$"))


def the_waterfall_sums_up(turn: Locator) -> None:
    for stage in ("Capture", "End of turn", "Model", "Voice", "Network", "Playback"):
        expect(turn.get_by_role("row", name=stage)).to_be_visible()
    total = float(turn.locator(".turn-ms").inner_text().split()[0])
    took = [float(text.split()[0]) for text in turn.locator("td.took").all_inner_texts()]
    assert sum(took) == pytest.approx(total, abs=len(took))
    assert 300 < total < 2_000


def the_vendors_are_named(page: Page) -> None:
    vendors = page.get_by_role("list", name="Who serves the call").get_by_role("listitem")
    expect(vendors).to_have_text(
        [
            re.compile(rf"^{name} .*stand-in$")
            for name in ("Deepgram Flux hears", "OpenAI thinks", "Cartesia speaks")
        ]
    )
    expect(page.locator("#where")).to_have_text(re.compile("us-east|eu-west"))


def the_record_has_what_was_heard(logged: list[dict[str, Any]], tmp_path: Path) -> None:
    """The page's log is in order, and what it says was sent stands in the call's record."""
    assert [entry["at_ms"] for entry in logged] == sorted(entry["at_ms"] for entry in logged)
    created = [entry["event"] for entry in logged if entry["event"]["type"] == "repartee.session.created"]
    reports = [entry["event"] for entry in logged if entry["event"]["type"] == "repartee.turn.heard"]
    assert len(created) == 1 and len(reports) == 3
    command = [REPARTEE, "calls", "show", created[0]["call_id"], "--json", tmp_path / "call.json"]
    subprocess.run(command, env=own_environment(), check=True, timeout=DEADLINE_S, capture_output=True)
    record = json.loads((tmp_path / "call.json").read_text())
    assert record["transport"] == "webrtc"
    heard = {entry["turn_id"]: entry for entry in record["timeline"] if entry["event"] == "heard"}
    for report in reports:
        for stage, ms in report["stages_ms"].items():
            assert heard[report["turn_id"]][f"{stage}_ms"] == pytest.approx(ms, abs=0.01)


def test_without_a_microphone_one_can_type(system: str, playwright: Playwright) -> None:
    browser = launch(playwright, None)
    page = browser.new_page()
    page.goto(system)
    page.get_by_role("button", name="What are your opening hours?").click()
    expect(page.get_by_role("alert")).to_contain_text("microphone", timeout=10_000)
    expect(page.locator(".line.agent .words")).to_contain_text("We open at eight thirty", timeout=10_000)
    expect(page.locator("#turns .turn")).to_have_count(1, timeout=10_000)
    browser.close()


def test_a_turn_that_waited_for_a_tool_is_held_to_its_first_sound(
    system: str, playwright: Playwright
) -> None:
    browser = launch(playwright, None)
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(system)
    page.get_by_role("button", name="What were my last transactions?").click()
    expect(page.locator("#turns .turn")).to_have_count(1, timeout=SPOKEN_MS)
    expect(page.locator("#verdict")).to_contain_text("It waited for a tool; the first sound came after ")
    expect(page.locator("#p90")).to_have_text("–")
    expect(page.locator(".stages").get_by_role("row", name="Capture")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    browser.close()


def without_a_path(route: Any) -> None:
    """The answer to an offer, with addresses at which nobody is."""
    answer = route.fetch()
    body = re.sub(r"(a=candidate:\S+ 1 (?:udp|tcp) \d+ \S+) \d+", r"\1 9", answer.text())
    route.fulfill(response=answer, body=body)


@pytest.mark.parametrize(
    ("why", "prevented"),
    [
        ("this browser has no WebRTC", lambda page: page.add_init_script("delete window.RTCPeerConnection")),
        (
            "this server has none installed",
            lambda page: page.route("**/ice_servers", lambda r: r.fulfill(status=501)),
        ),
        ("this network lets none through", lambda page: page.route("**/realtime/calls?*", without_a_path)),
    ],
)
def test_where_webrtc_cannot_be_the_same_click_calls_by_websocket(
    system: str, playwright: Playwright, why: str, prevented: Any
) -> None:
    browser = launch(playwright, None)
    page = browser.new_page()
    prevented(page)
    page.goto(system)
    page.get_by_role("button", name="Is there parking?").click()
    expect(page.locator(".line.agent .words")).to_contain_text("parking", timeout=SPOKEN_MS)
    expect(page.locator("#line-kind")).to_have_text("WebSocket")
    expect(page.locator("#line-why")).to_have_text(f"No WebRTC: {why}.")
    expect(page.locator("#line-behind")).to_have_text("0 ms")
    expect(page.locator("#turns .turn")).to_have_count(1, timeout=10_000)
    browser.close()
