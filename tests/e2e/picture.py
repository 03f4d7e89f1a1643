"""Takes the pictures of the page for the README: `python -m tests.e2e.picture` writes docs/images/page*.png.

Runs a whole system on this machine, holds a spoken conversation on the page, and takes the picture.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Playwright, expect, sync_playwright
from tests.e2e.conftest import free_port, launch
from tests.e2e.speaking import write_questions

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE = {"width": 1280, "height": 840}
QUESTIONS = [
    (2.0, "What is the balance of my account?"),
    (9.0, "How do you work?"),
    (5.0, "Is there parking?"),
]


def main() -> None:
    """Take the pictures."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "repartee"), "up", "--port", str(port), "--regions", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        while "Ctrl-C" not in up.stdout.readline():
            pass
        try:
            with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
                recording = write_questions(Path(folder) / "questions.wav", QUESTIONS)
                for name, scheme in (("page", "light"), ("page-dark", "dark")):
                    take(playwright, f"http://127.0.0.1:{port}", recording, IMAGES / f"{name}.png", scheme)
        finally:
            up.terminate()


def take(playwright: Playwright, url: str, recording: Path, path: Path, scheme: str) -> None:
    """Hold the conversation and take one picture of it."""
    browser = launch(playwright, recording)
    page = browser.new_page(viewport=SIZE, color_scheme=scheme, device_scale_factor=2)  # type: ignore[arg-type]
    page.goto(url)
    page.get_by_role("button", name="Start talking").click()
    expect(page.locator("#turns .turn")).to_have_count(3, timeout=60_000)
    page.wait_for_timeout(1_200)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    browser.close()


if __name__ == "__main__":
    main()
