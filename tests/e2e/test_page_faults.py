"""What the page says, and offers, when something is wrong; against a region that answers from a script."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, Playwright, expect
from tests.e2e.conftest import ask, launch
from tests.regional.app.running import region_process, stand_ins
from tests.regional.client.scripted_region import Script, running_in_thread, tone

from repartee.audio.speech_end import speech_span


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
    script = Script(answer_ms=[15_000, 300])
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


MICROPHONES = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
KEPT = """(() => {
  window.tracks = [];
  const ask = MediaDevices.prototype.getUserMedia;
  MediaDevices.prototype.getUserMedia = async function (wanted) {
    const stream = await ask.call(this, wanted);
    window.tracks.push(...stream.getAudioTracks());
    return stream;
  };
  const Context = window.AudioContext;
  window.AudioContext = class extends Context {
    constructor(options) {
      super(options);
      window.context = this;
    }
  };
})()"""
"""Keeps the microphones' tracks and the AudioContext that the page has opened."""


@pytest.fixture
def hearing(playwright: Playwright) -> Iterator[Page]:
    """A page in a browser that has several microphones and may use them."""
    started = launch(playwright, None, MICROPHONES)
    opened = started.new_context().new_page()
    opened.add_init_script(KEPT)
    yield opened
    started.close()


def call(page: Page, url: str) -> None:
    """Start a call by the button."""
    page.goto(url)
    page.get_by_role("button", name="Start talking").click()
    expect(page.get_by_role("button", name="Mute")).to_be_visible()


def test_the_chosen_microphone_is_used_and_the_caller_described(hearing: Page) -> None:
    script = Script()
    with running_in_thread(script) as url:
        call(hearing, url)
        first = hearing.evaluate("tracks[0].label")
        hearing.get_by_role("button", name="Setup").click()
        other = hearing.locator("#microphone option:not([value=''])").all_inner_texts()
        assert len(other) >= 2
        chosen = next(label for label in other if label != first)
        hearing.get_by_label("Microphone").select_option(label=chosen)
        hearing.wait_for_function("() => tracks.length === 2")
        assert hearing.evaluate("tracks[1].label") == chosen
        hearing.get_by_label("About the caller").fill("gold")
        hearing.get_by_role("button", name="Done").click()
        expect(hearing.get_by_role("dialog")).to_contain_text("“gold” is no name and value")
        hearing.get_by_label("About the caller").fill("plan: gold\nsince: 2019")
        hearing.get_by_role("button", name="Done").click()
        expect(hearing.get_by_role("dialog")).not_to_be_visible()
        hearing.wait_for_function("() => tracks[0].readyState === 'ended' && tracks[1].readyState === 'live'")
        ask(hearing, "Hello?")
        expect(hearing.locator(".line.agent .words")).to_contain_text("Certainly")
    told = [event["session"]["metadata"] for event in script.received if event["type"] == "session.update"]
    assert told == [{"plan": "gold", "since": "2019"}]


def test_a_microphone_that_is_unplugged_is_replaced_or_asked_for(hearing: Page) -> None:
    with running_in_thread(Script()) as url:
        call(hearing, url)
        # Of a fake device nobody can pull the plug: its track says what a real one's would.
        unplug = "tracks.at(-1).stop(); tracks.at(-1).dispatchEvent(new Event('ended'))"
        hearing.evaluate(unplug)
        expect(hearing.get_by_role("alert")).to_contain_text(
            "The microphone was unplugged; another one is used now."
        )
        hearing.evaluate(
            "MediaDevices.prototype.getUserMedia = async () => { throw new DOMException('', 'NotFoundError') };"
            + unplug
        )
        expect(hearing.get_by_role("alert")).to_contain_text(
            "The microphone was unplugged. Plug it in, or type."
        )
        expect(hearing.get_by_role("button", name="Try again")).to_be_visible()
        ask(hearing, "Hello?")
        expect(hearing.locator(".line.agent .words")).to_contain_text("Certainly")


def test_a_browser_that_pauses_the_sound_is_asked_to_play_on(hearing: Page) -> None:
    with running_in_thread(Script()) as url:
        call(hearing, url)
        hearing.evaluate("context.suspend()")
        expect(hearing.get_by_role("alert")).to_contain_text("The browser has paused this page’s sound.")
        hearing.get_by_role("button", name="Play on").click()
        hearing.wait_for_function("() => context.state === 'running'")
        expect(hearing.get_by_role("alert")).not_to_be_visible()


def test_a_page_over_plain_http_says_why_there_is_no_sound(playwright: Playwright) -> None:
    started = launch(playwright, None, ["--host-resolver-rules=MAP insecure.test 127.0.0.1"])
    page = started.new_page()
    with running_in_thread(Script()) as url:
        page.goto(url.replace("127.0.0.1", "insecure.test"))
        # This machine's own key is for this machine.
        page.evaluate("() => sessionStorage.setItem('repartee.key', 'dev')")
        ask(page, "Hello?")
        expect(page.get_by_role("alert")).to_contain_text("only in pages served over https")
    started.close()


def test_a_region_that_stands_still_is_found_again_and_one_that_is_gone_missed(
    playwright: Playwright,
) -> None:
    started = launch(playwright, None, MICROPHONES)
    page = started.new_page()
    with stand_ins() as providers, region_process(providers, "--allow-anonymous") as region:
        page.goto(f"http://127.0.0.1:{region.port}/")
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#line-kind")).to_have_text("WebRTC")
        page.get_by_role("button", name="Mute").click()
        expect(page.locator("#line-trip")).to_have_text(re.compile(r"\d+ ms"))
        region.process.send_signal(signal.SIGSTOP)
        expect(page.locator("#status")).to_have_text("Reconnecting …")
        region.process.send_signal(signal.SIGCONT)
        expect(page.locator("#status")).to_have_text(re.compile("Muted|Listening"))
        ask(page, "What are your opening hours?")
        expect(page.locator(".line.agent .words").first).not_to_be_empty()
        region.process.kill()
        expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        expect(page.get_by_role("button", name="Call again")).to_be_visible()
    started.close()


HANGS_UP = """
from repartee import Agent

agent = Agent("Be brief.", greeting="Hello.", name="Curt")


@agent.on_call_start
async def leave(ctx):
    ctx.hang_up("Goodbye.")
"""


def test_an_agent_that_hangs_up_and_a_region_that_stops_end_the_call_in_words(
    playwright: Playwright, tmp_path: Path
) -> None:
    (tmp_path / "curt.py").write_text(HANGS_UP)
    started = launch(playwright, None, MICROPHONES)
    page = started.new_page()
    settings = {"REPARTEE_DRAIN_S": "0"}
    with stand_ins() as providers:
        for agent in (["--agent", str(tmp_path / "curt.py")], []):
            with region_process({**providers, **settings}, "--allow-anonymous", *agent) as region:
                page.goto(f"http://127.0.0.1:{region.port}/")
                page.get_by_role("button", name="Start talking").click()
                expect(page.locator("#line-kind")).to_have_text("WebRTC")
                if agent:
                    expect(page.get_by_role("button", name="Call again")).to_be_visible()
                    expect(page.get_by_role("alert")).not_to_be_visible()
                    continue
                region.process.terminate()
                expect(page.get_by_role("alert")).to_contain_text("going down for maintenance")
                expect(page.get_by_role("button", name="Try again")).to_be_visible()
    started.close()


def test_two_calls_in_one_browser_know_of_one_another(hearing: Page) -> None:
    with running_in_thread(Script()) as url:
        call(hearing, url)
        other = hearing.context.new_page()
        call(other, url)
        for one in (hearing, other):
            expect(one.get_by_role("alert")).to_contain_text("Another tab is in a call too")
        ask(other, "Hello?")
        expect(other.locator(".line.agent .words")).to_contain_text("Certainly")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("NotAllowedError", "The microphone is not allowed on this page."),
        ("NotFoundError", "No microphone was found."),
        ("NotReadableError", "Another program holds the microphone."),
    ],
)
def test_without_a_microphone_the_call_goes_on_in_writing(page: Page, error: str, words: str) -> None:
    page.add_init_script(
        f"MediaDevices.prototype.getUserMedia = async () => {{ throw new DOMException('', '{error}') }}"
    )
    with running_in_thread(Script()) as url:
        page.goto(url)
        page.get_by_role("button", name="Start talking").click()
        expect(page.get_by_role("alert")).to_contain_text(words)
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        expect(page.locator("#status")).to_have_text("Waiting for you")
        ask(page, "Hello?")
        expect(page.locator(".line.agent .words")).to_contain_text("Certainly")


def test_what_to_say_is_the_agents(page: Page) -> None:
    with running_in_thread(Script(suggestions=["Is there parking?"])) as url:
        page.goto(url)
        expect(page.locator(".answers")).to_have_text("front answers.")
        page.get_by_role("button", name="Is there parking?").click()
        expect(page.locator(".line.you .words")).to_have_text("Is there parking?")
        expect(page.locator(".line.agent .words")).to_contain_text("Certainly")


def test_tabs_and_events_by_the_keyboard(page: Page) -> None:
    with running_in_thread(Script()) as url:
        page.goto(url)
        ask(page, "Hello?")
        expect(page.locator("#turns .turn")).to_have_count(1)
        page.get_by_role("tab", name="Latency").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Events")).to_be_focused()
        expect(page.get_by_role("tabpanel", name="Latency")).not_to_be_visible()
        events = page.get_by_role("list", name="Events, in order").get_by_role("listitem")
        expect(events.filter(has_text="session.created")).to_have_count(1)
        page.get_by_label("Show events whose type contains").fill("response.create")
        shown = events.filter(visible=True)
        expect(shown).to_have_text([re.compile("→.*response.create$"), re.compile("←.*response.created$")])
        shown.last.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(shown.last.locator("pre")).to_contain_text('"id": "resp_1"')
