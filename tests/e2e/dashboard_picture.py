"""Takes the pictures of the dashboard: `python -m tests.e2e.dashboard_picture` writes docs/images/dashboard*.png.

Runs a whole system on this machine, has a few calls placed, and takes the pictures.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, ViewportSize, expect, sync_playwright
from tests.e2e.conftest import free_port, launch
from tests.e2e.picture import IMAGES

SIZES = {"": ViewportSize(width=1280, height=1500), "-phone": ViewportSize(width=390, height=1560)}
PRICES = (
    '{"stt": {"*": {"minute": 0.0077}}, "llm": {"*": {"million_input_tokens": 0.4, "million_output_tokens": 1.6}},'
    ' "tts": {"*": {"million_characters": 35}}}'
)
QUESTIONS = (
    "What are your opening hours?",
    "What is the balance of my checking account?",
    "Is there parking?",
    "How do you work?",
)
CALLS = 6
REPARTEE = str(Path(sys.executable).parent / "repartee")


def main() -> None:
    """Take the pictures."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        prices = Path(folder) / "prices.json"
        prices.write_text(PRICES)
        settings = os.environ | {
            "REPARTEE_PRICES": str(prices),
            "REPARTEE_STORE_FILE": f"{folder}/store.sqlite3",
        }
        command = [REPARTEE, "up", "--port", str(port), "--profile", "typical"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=settings) as up:
            assert up.stdout is not None
            while "Ctrl-C" not in up.stdout.readline():
                pass
            try:
                for number in range(CALLS):
                    place(port, number)
                with sync_playwright() as playwright:
                    browser = launch(playwright, None)
                    for scheme in ("light", "dark"):
                        for size in SIZES:
                            take(browser, f"http://127.0.0.1:{port}/dashboard", scheme, size)
                    browser.close()
            finally:
                up.terminate()


def place(port: int, number: int) -> None:
    """A call; they begin in different slots of the hour."""
    said = [QUESTIONS[(number + turn) % len(QUESTIONS)] for turn in range(3)]
    options = [part for question in said for part in ("--say", question)]
    url = f"ws://127.0.0.1:{port}/v1/voice/session"
    subprocess.run([REPARTEE, "call", "--url", url, *options], stdout=subprocess.DEVNULL, check=False)
    time.sleep(2)


def take(browser: Browser, url: str, scheme: str, size: str) -> None:
    """One picture."""
    page = browser.new_page(viewport=SIZES[size], color_scheme=scheme, device_scale_factor=1.5)  # type: ignore[arg-type]
    page.goto(url)
    page.get_by_role("button", name="Hour").click()
    expect(page.locator("#calls .row").first).to_be_visible()
    if not size:
        page.get_by_role("button", name="Slowest").click()
        page.locator("#slow .row").first.click()
        page.locator("#calls .row").first.click()
        expect(page.locator(".call-timeline")).to_be_visible()
    page.wait_for_timeout(1_500)
    name = f"dashboard{'-dark' if scheme == 'dark' else ''}{size}.png"
    page.screenshot(path=IMAGES / name)
    page.close()


if __name__ == "__main__":
    main()
