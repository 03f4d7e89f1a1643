"""What the page says, and offers, when something is wrong; against a region that answers from a script."""

import json
import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect
from tests.e2e.conftest import launch
from tests.regional.client.scripted_region import Script, running_in_thread, tone

from repartee.audio.speech_end import speech_span


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    started = launch(playwright, None)
    yield started
    started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


def ask(page: Page, text: str) -> None:
    page.get_by_label("Type a question").fill(text)
    page.keyboard.press("Enter")


def test_a_refused_key_is_asked_for_and_the_call_goes_on(page: Page) -> None:
    with running_in_thread(Script(api_key="secret")) as url:
        page.goto(url)
        ask(page, "Hello?")
        dialog = page.get_by_role("dialog", name="API key")
        expect(dialog).to_be_visible()
        page.get_by_label("Key", exact=True).fill("wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("refused")
        page.get_by_label("Key", exact=True).fill("secret")
        page.keyboard.press("Enter")
        expect(page.locator(".line.agent .words")).to_contain_text("Certainly")


def test_giving_no_key_ends_in_words(page: Page) -> None:
    with running_in_thread(Script(api_key="secret")) as url:
        page.goto(url)
        ask(page, "Hello?")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("alert")).to_contain_text("The API key was refused.")
        expect(page.get_by_role("button", name="Enter another key")).to_be_visible()


def test_a_full_server_is_tried_again(page: Page) -> None:
    script = Script(refuse_with=503)
    with running_in_thread(script) as url:
        page.goto(url)
        page.route("**/readyz", lambda route: route.fulfill(status=200, body="ready"))
        ask(page, "Hello?")
        expect(page.get_by_role("alert")).to_contain_text("Every line is taken just now.")
        script.refuse_with = None
        page.get_by_role("button", name=re.compile("Try again")).click()
        expect(page.get_by_role("button", name="End call")).to_be_visible()


def test_a_lost_connection_offers_another_call(page: Page) -> None:
    with running_in_thread(Script(hang_up_after_turns=1)) as url:
        page.goto(url)
        ask(page, "Hello?")
        expect(page.get_by_role("alert")).to_contain_text("the region fell over")
        expect(page.locator(".line.you .words")).to_have_text("Hello?")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("button", name="End call")).to_be_visible()


def test_an_unreachable_server_is_told(page: Page) -> None:
    with running_in_thread(Script()) as url:
        page.goto(url)
        page.context.set_offline(True)
        ask(page, "Hello?")
        expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")


def test_typing_while_the_agent_speaks_interrupts_it(page: Page) -> None:
    script = Script(answer_ms=[4000, 300])
    with running_in_thread(script) as url:
        page.goto(url)
        ask(page, "A long one?")
        expect(page.locator("body")).to_have_attribute("data-state", "speaking")
        ask(page, "And another?")
        expect(page.locator(".line.agent").first).to_contain_text("interrupted")
        expect(page.locator(".line.agent")).to_have_count(2)
        kinds = [event["type"] for event in script.received]
        assert "conversation.item.truncate" in kinds


def test_the_page_fits_a_phone(page: Page) -> None:
    with running_in_thread(Script()) as url:
        page.set_viewport_size({"width": 360, "height": 740})
        page.goto(url)
        ask(page, "Hello?")
        expect(page.locator("#turns .turn")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_page_finds_the_end_of_speech_where_the_server_does(page: Page) -> None:
    random = np.random.default_rng(1)
    noise = random.normal(0, 30, 24_000 * 2).astype("<i2")
    noise[12_000 : 12_000 + 7_200] += np.frombuffer(tone(300), dtype="<i2")
    span = speech_span(noise.tobytes(), 24_000)
    assert span is not None
    with running_in_thread(Script()) as url:
        page.goto(url)
        found = page.evaluate(
            "async (samples) => (await import('/page/speech-end.js')).speechEnd(Int16Array.from(samples), 24000)",
            noise.tolist(),
        )
    assert found == pytest.approx(span[1], abs=120)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48_000, 24_000), (24_000, 48_000), (44_100, 24_000)])
def test_resampling_keeps_a_tone_and_its_length(page: Page, from_hz: int, to_hz: int) -> None:
    sound = np.sin(2 * np.pi * 440 * np.arange(from_hz // 2) / from_hz)
    with running_in_thread(Script()) as url:
        page.goto(url)
        told = page.evaluate(
            """async ([samples, from, to]) => {
                const { Resampler } = await import("/page/resampler.js");
                const resampler = new Resampler(from, to);
                const out = [];
                for (let at = 0; at < samples.length; at += 128) {
                    out.push(...resampler.process(Float32Array.from(samples.slice(at, at + 128))));
                }
                return JSON.stringify(out);
            }""",
            [sound.tolist(), from_hz, to_hz],
        )
    resampled = np.array(json.loads(told))
    assert len(resampled) == pytest.approx(to_hz / 2, abs=60)
    spectrum = np.abs(np.fft.rfft(resampled * np.hanning(len(resampled))))
    assert np.argmax(spectrum) * to_hz / len(resampled) == pytest.approx(440, abs=3)
    assert np.abs(resampled[200:-200]).max() == pytest.approx(1, abs=0.02)
