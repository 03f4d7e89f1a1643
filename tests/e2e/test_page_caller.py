"""What is typed on the page about the caller is known to the agent before its call begins, over either line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect
from tests.e2e.conftest import launch, up

GREETS = """from repartee import Agent, CallContext

agent = Agent("Be kind.")


@agent.on_call_start
async def greet(ctx: CallContext) -> None:
    ctx.greeting = f"Good morning, {ctx.metadata.get('name', 'stranger')}."
"""


@pytest.fixture(scope="module")
def greeting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A system whose agent greets its callers by name."""
    agent: Path = tmp_path_factory.mktemp("agents") / "greeter.py"
    agent.write_text(GREETS)
    with up("--regions", "1", "--agent", str(agent)) as url:
        yield url


@pytest.mark.parametrize("kind", ["WebRTC", "WebSocket"])
def test_the_agent_greets_the_caller_as_the_page_was_told(
    greeting: str, playwright: Playwright, kind: str
) -> None:
    browser = launch(playwright, None)
    page = browser.new_page()
    if kind == "WebSocket":
        page.add_init_script("delete window.RTCPeerConnection")
    page.goto(greeting)
    page.get_by_role("button", name="Setup").click()
    page.get_by_label("About the caller").fill("name: Anna\nplan: gold")
    page.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Start talking").click()
    expect(page.locator("#line-kind")).to_have_text(kind)
    expect(page.locator(".line.agent .words").first).to_contain_text("Good morning, Anna.")
    browser.close()
