"""Chromium's loop by WebRTC is hardly longer than by WebSocket."""

import pytest
from playwright.sync_api import Playwright
from tests.e2e import loop
from tests.e2e.conftest import launch
from tests.promptness import measured

BURSTS = 6


def test_webrtc_adds_20_ms_to_a_websockets_loop_and_10_with_short_frames(playwright: Playwright) -> None:
    browser = launch(playwright, None)
    page = browser.new_page(bypass_csp=True)
    with loop.serving() as url:
        page.goto(url)
        machine = measured()
        try:
            told = loop.measure(page, BURSTS)
        except RuntimeError as busy:
            pytest.skip(str(busy))
    browser.close()
    took = {way: figures["p50_ms"] for way, figures in told["loops"].items()}
    for way, most_ms in (("webrtc", 20.0), ("webrtc_low_delay", 10.0)):
        added_ms = took[way] - took["websocket"]
        what = f"{way} adds {added_ms:.0f} ms to a WebSocket's {took['websocket']:.0f}"
        machine.promise(added_ms <= most_ms, what)
