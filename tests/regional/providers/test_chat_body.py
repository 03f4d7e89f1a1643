"""What a model is asked with: the family's needs, the deployment's wishes, and what a server has refused."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.tcp_server import tcp

from repartee.errors import ProviderError
from repartee.pool.settings import PoolSettings
from repartee.providers.chat_body import ChatBody
from repartee.providers.interfaces import ReplyRequest, TextDelta
from repartee.providers.openai_chat import ChatLLM, ChatSettings
from repartee.providers.vendors import VENDORS

REQUEST = ReplyRequest(messages=({"role": "user", "content": "Hi"},), max_tokens=50, temperature=0.5)


def body(**options: Any) -> ChatBody:
    return ChatBody("some-model", "max_tokens", **options)


def test_the_deployments_wishes_go_into_each_request() -> None:
    asked = body(effort="low", service_tier="priority", extra={"seed": 7}).of(REQUEST)
    assert (asked["reasoning_effort"], asked["service_tier"], asked["seed"]) == ("low", "priority", 7)
    assert asked["max_tokens"] == 50


def test_a_parameter_of_another_name_is_renamed_once_and_left_out_if_that_is_refused_too() -> None:
    bodies = body()
    assert bodies.learn(bodies.of(REQUEST), 400, "max_tokens", "Use max_completion_tokens")
    asked = bodies.of(REQUEST)
    assert asked["max_completion_tokens"] == 50
    assert "max_tokens" not in asked
    assert bodies.learn(asked, 400, "max_completion_tokens", "no")
    assert not bodies.of(REQUEST).keys() & {"max_tokens", "max_completion_tokens"}


@pytest.mark.parametrize(
    ("status", "param", "said"),
    [
        (400, "messages[1].role", "no such role"),
        (400, None, "the context is too long"),
        (400, "tools", "too many"),
        (429, "temperature", "not now"),
        (400, "frequency_penalty", "it was not sent"),
    ],
)
def test_what_names_no_parameter_that_could_go_teaches_nothing(
    status: int, param: str | None, said: str
) -> None:
    bodies = body()
    before = bodies.of(REQUEST)
    assert not bodies.learn(before, status, param, said)
    assert bodies.of(REQUEST) == before


def test_servers_that_name_it_in_words_only_are_understood() -> None:
    bodies = body()
    assert bodies.learn(bodies.of(REQUEST), 400, None, "Unsupported parameter: 'temperature' with this model")
    assert "temperature" not in bodies.of(REQUEST)
    assert bodies.counted
    assert bodies.learn(
        bodies.of(REQUEST), 400, None, "Unrecognized request argument supplied: stream_options"
    )
    assert "stream_options" not in bodies.of(REQUEST)
    assert not bodies.counted


ANSWER = (
    b"""data: {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n"""
)


class Strict:
    """A server that takes these fields only, and refuses the first other one by its name."""

    def __init__(self, taken: set[str], *, lists: bool = True) -> None:
        self.taken, self.lists = taken, lists
        self.bodies: list[dict[str, Any]] = []
        self.url = ""

    async def serve(self, reader: Any, writer: Any) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                lengths = [line[15:] for line in head.splitlines() if line.startswith("content-length:")]
                asked = json.loads(await reader.readexactly(int(lengths[0])) if lengths else b"{}")
                status, kind, said = self.answer(asked) if asked else self.listed()
                start = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(said)}\r\n\r\n"
                writer.write(start.encode() + said)
        except (EOFError, ConnectionError):
            pass

    def listed(self) -> tuple[str, str, bytes]:
        return ("200 OK" if self.lists else "403 Forbidden"), "application/json", b"{}"

    def answer(self, asked: dict[str, Any]) -> tuple[str, str, bytes]:
        self.bodies.append(asked)
        for name in asked.keys() - self.taken:
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            error = {"message": message, "param": name, "code": "unsupported_parameter"}
            return "400 Bad Request", "application/json", json.dumps({"error": error}).encode()
        return "200 OK", "text/event-stream", ANSWER


@asynccontextmanager
async def strict(taken: set[str], **options: Any) -> AsyncIterator[Strict]:
    far = Strict(taken, **options)
    async with tcp(far.serve) as base:
        far.url = f"{base}/v1"
        yield far


def brain_at(url: str) -> ChatLLM:
    pool = PoolSettings(spare=1, young_s=0.0)
    return ChatLLM(
        ChatSettings(url, "k", "some-model", effort="none", service_tier="auto", extra={"seed": 7}, pool=pool)
    )


NEEDED = {"model", "messages", "stream"}
EXTRAS = ["max_tokens", "temperature", "reasoning_effort", "service_tier", "seed", "stream_options"]


@pytest.mark.parametrize("refused", EXTRAS)
async def test_a_refused_parameter_costs_one_request_and_is_not_sent_again(refused: str) -> None:
    taken = NEEDED | {*EXTRAS, "max_completion_tokens"} - {refused}
    async with strict(taken) as far:
        brain = brain_at(far.url)
        for _ in range(3):
            parts = [part async for part in brain.reply(REQUEST)]
            assert parts[0] == TextDelta("Yes.")
        await brain.aclose()
    assert [refused in asked for asked in far.bodies] == [True, False, False, False]


async def test_all_of_them_may_be_refused_at_once() -> None:
    async with strict(NEEDED) as far:
        brain = brain_at(far.url)
        parts = [part async for part in brain.reply(REQUEST)]
        assert parts[0] == TextDelta("Yes.")
        await brain.aclose()
    assert set(far.bodies[-1]) == NEEDED


async def test_the_probe_learns_too() -> None:
    async with strict(NEEDED, lists=False) as far:
        brain = brain_at(far.url)
        await brain.start()
        await brain.wait_warm(DEADLINE_S)
        await brain.probe()
        await brain.aclose()
    assert set(far.bodies[-1]) == NEEDED


async def test_what_is_needed_is_never_left_out() -> None:
    async with strict({"model", "stream"}) as far:
        brain = brain_at(far.url)
        with pytest.raises(ProviderError, match="messages"):
            for _ in range(10):
                [part async for part in brain.reply(REQUEST)]
        await brain.aclose()
    assert all("messages" in asked for asked in far.bodies)


def test_the_table_hands_the_options_on() -> None:
    [row] = [row for row in VENDORS if row.model == "REPARTEE_LLM_MODEL"]
    assert set(row.options) == {"reasoning_effort", "service_tier", "extra_body"}
