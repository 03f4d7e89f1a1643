"""A whole system in processes of its own, and a browser to look at its page with."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from tests.promptness import DEADLINE_S

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FIRST_PORT, LAST_PORT = 21_000, 29_000
PORTS_OF_A_SYSTEM = (0, 1, 2, 13)
PATIENCE_MS = 15_000
"""How long the page may take to show something, on a machine that is busy with other things."""


def free_port() -> int:
    """A port for `repartee up` whose neighbours, which the other parts take, are free too."""
    for port in range(FIRST_PORT + os.getpid() % 400 * 20, LAST_PORT + 8_000, 20):
        try:
            for offset in PORTS_OF_A_SYSTEM:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + offset))
        except OSError:
            continue
        return port
    raise AssertionError("no free ports")


def own_environment() -> dict[str, str]:
    """The environment without the developer's own keys and settings."""
    ours = ("DEEPGRAM_", "OPENAI_", "CARTESIA_", "ELEVENLABS_", "REPARTEE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="session")
def system() -> Iterator[str]:
    """`repartee up`; gives the edge's http URL."""
    with up() as url:
        yield url


@contextmanager
def up(*arguments: str) -> Iterator[str]:
    """`repartee up` with these; gives the edge's http URL."""
    port = free_port()
    process = subprocess.Popen(
        [Path(sys.executable).parent / "repartee", "up", "--port", str(port), *arguments],
        env=own_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "Ctrl-C" in line:
            break
    else:
        pytest.fail("repartee up ended: " + "".join(said))
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """For one module: Playwright's loop runs on in this thread, where no other test's could."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as started:
        yield started


def executable() -> str:
    """The system's Chromium; skips the test where there is none."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    pytest.skip("Chromium is missing: apt-get install chromium")


def launch(playwright: Playwright, microphone: Path | None, more: Sequence[str] = ()) -> Browser:
    """A headless browser; with a recording, that is what its microphone hears, once. ``more``: other switches."""
    args = ["--autoplay-policy=no-user-gesture-required", *more]
    if microphone is not None:
        args += [
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}%noloop",
        ]
    return playwright.chromium.launch(
        executable_path=executable(), headless=True, chromium_sandbox=False, args=args
    )


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """One that has no microphone and asks for none."""
    started = launch(playwright, None)
    yield started
    started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


def ask(page: Page, text: str) -> None:
    """Type it on the call page."""
    page.get_by_label("Type a question").fill(text)
    page.keyboard.press("Enter")
