"""A relayed call over real sockets while the provider misbehaves, and with faults of the worker's own in it."""

import asyncio
import logging
import ssl
from typing import Any

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.running import until
from tests.regional.session.relay_stage import Stage, on_stage

from repartee.agent.agent import Agent
from repartee.agent.notices import Notices
from repartee.session.call_notes import OUTCOMES
from repartee.standins.faults import Fault
from repartee.transport.interfaces import CallEnd

SORRY = "I am sorry."


def agent_of(**options: Any) -> Agent:
    return Agent("Be kind.", model="gpt-realtime", notices=Notices(apology=SORRY), **options)


def spoil(stage: Stage, kind: str, count: int = 1) -> None:
    stage.providers.state.faults.put(Fault(kind, "openai-realtime", count=count))


ONCE = ["empty_response", "silent_response", "filtered_response", "failed_response", "unknown_tool"]


@pytest.mark.parametrize("kind", ONCE)
async def test_an_answer_that_is_spoilt_is_asked_for_once_more(kind: str) -> None:
    async with on_stage(agent_of()) as stage:
        spoil(stage, kind)
        stage.asks("Where are you?")
        assert await stage.hears_words()
        assert SORRY not in str(stage.events)
        assert "error" not in stage.types


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("kind", ["empty_response", "silent_response", "failed_response"])
async def test_a_second_one_has_an_apology_and_the_call_goes_on(kind: str, recorded: bool) -> None:
    async with on_stage(agent_of(), recorded=recorded) as stage:
        spoil(stage, kind, count=2)
        stage.asks("Where are you?")
        await stage.hears("response.done", lambda event: SORRY in str(event))
        stage.asks("Where are you?")
        assert "Mill Street" in await stage.hears_words()
        assert len(stage.notes.failures) == 2


async def test_a_response_that_is_refused_after_a_spoken_turn() -> None:
    """The provider was to begin it by itself, and says nothing: another session answers, or the agent apologises."""
    async with on_stage(agent_of(), recorded=True) as stage:
        spoil(stage, "refuse_response")
        await stage.speaks()
        assert await stage.hears_words()
        assert "error" not in stage.types


async def test_a_response_that_never_goes_on() -> None:
    """Nor does that of the session that follows: there is no time for a third."""
    async with on_stage(agent_of(), recorded=True) as stage:
        spoil(stage, "never_done", count=2)
        stage.asks("Where are you?")
        overdue = await stage.hears("response.done", lambda event: "answer_overdue" in str(event))
        assert overdue["response"]["status"] == "failed"
        await stage.hears("response.done", lambda event: SORRY in str(event))
        stage.asks("Where are you?")
        assert "Mill Street" in await stage.hears_words()
        assert "error" not in stage.types


@pytest.mark.parametrize("kind", ["duplicate_events", "unknown_events"])
async def test_events_twice_or_of_no_known_kind(kind: str) -> None:
    agent = agent_of()
    runs: list[int] = []

    @agent.tool
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        runs.append(1)
        return {"balance": 1240}

    async with on_stage(agent) as stage:
        spoil(stage, kind, count=2)
        stage.asks("What is the balance of my account?")
        assert "1240" in await stage.hears_words()
        assert runs == [1]
        ended = [event["response"]["id"] for event in stage.events if event["type"] == "response.done"]
        assert len(ended) == len(set(ended)) == 2
        assert "error" not in stage.types


async def test_a_session_that_is_closed_in_mid_response() -> None:
    async with on_stage(agent_of(), profile="budget") as stage:
        spoil(stage, "close_in_response")
        stage.asks("Where are you?")
        cut = await stage.hears("response.done")
        assert cut["response"]["status_details"]["error"]["code"] == "session_lost"
        stage.asks("Where are you?")
        assert await stage.hears_words()


# --- faults of the worker's own, which look like a socket's ------------------------------------------------------

OWN_FAULTS = [TimeoutError("a lookup"), FileNotFoundError("a file"), ssl.SSLError("a certificate")]
PLACES = ["core", "audio", "provider's message", "opening", "leave"]


def break_at(stage: Stage, place: str, error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this raised where nobody expects it."""
    relay: Any = stage.relay._kind

    def broken(*args: Any, **options: Any) -> Any:
        raise error

    async def broken_later(*args: Any, **options: Any) -> Any:
        raise error

    match place:
        case "core":
            monkeypatch.setattr(relay.core, "receive", broken)
        case "audio":
            monkeypatch.setattr(relay, "take_audio", broken)
        case "provider's message":
            monkeypatch.setattr(relay.core, "weighs_silence", broken)
        case "opening":
            monkeypatch.setattr(relay._resources.speech, "open", broken_later)
            stage.lose_sessions()
        case "leave":
            monkeypatch.setattr(relay, "take_leave", broken_later)
            for _ in range(3):
                stage.providers.state.faults.put(Fault("server_error", "openai-realtime", count=1_000))
            stage.lose_sessions()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", OWN_FAULTS, ids=lambda error: type(error).__name__)
async def test_a_fault_of_the_workers_own_is_logged_and_is_no_hanging_up(
    error: OSError, place: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_stage(agent_of()) as stage:
        await stage.hears("session.created")
        counts = stage.providers.state.stats.of("openai-realtime")
        await until(lambda: counts.messages_in > 0)
        break_at(stage, place, error, monkeypatch)
        stage.asks("Where are you?")
        await stage.speaks(100, 0)
        end = await asyncio.wait_for(stage.running, DEADLINE_S)
        monkeypatch.undo()
    assert end is CallEnd.FAILED
    assert OUTCOMES[end] == "failed" != OUTCOMES[CallEnd.CLIENT_GONE] == "ended"
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "call call failed; closing it" in {record.getMessage() for record in logged}
    assert error in {record.exc_info[1] for record in logged if record.exc_info}
