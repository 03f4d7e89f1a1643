"""Chat servers in trouble of kinds that OpenAI's documentation does not know: proxies' pages, answers that only say
that they live, packed ones, heads without an end."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.providers.scripted_http import DONE, END, HEAD, Script, delta, piece, reply, scripted
from tests.regional.tcp_server import tcp

from repartee.errors import ProviderError
from repartee.providers.chat_stream import EventStream, StreamedReply
from repartee.providers.interfaces import ReplyRequest, TextDelta
from repartee.providers.openai_chat import ChatLLM, ChatSettings

ASKED = ReplyRequest(messages=({"role": "user", "content": "Hello?"},))
PAGE = b"<!DOCTYPE html><html><body><h1>Sign in to the network</h1></body></html>"


def headed(body: bytes, *more: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *more, b"", body]
    return b"\r\n".join(lines)


async def answered(script: Script, stall_s: float | None = None) -> str:
    """The text of an answer. Raises what the caller would get."""
    async with scripted(script) as server:
        llm = ChatLLM(ChatSettings(server.base_url, "k", "gpt-4.1-mini", stall_s=stall_s))
        try:
            async with asyncio.timeout(DEADLINE_S):
                parts = [part async for part in llm.reply(ASKED)]
        finally:
            await llm.aclose()
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


LIVES = {
    "comments": piece(b": keep-alive\n\n"),
    "empty pieces": delta(content=""),
    "events": piece(b"data: {}\n\n"),
}


@pytest.mark.parametrize("sign", list(LIVES))
async def test_signs_of_life_are_no_words(sign: str) -> None:
    """A model that stalls in mid-answer behind a proxy that keeps the connection alive has stalled."""
    script: Script = [HEAD, delta(content="Hello.")]
    for _ in range(200):
        script += [LIVES[sign], 0.05]
    with pytest.raises(ProviderError, match=r"sent nothing for 0.3 s in mid-answer"):
        await answered(script, stall_s=0.3)


async def test_thoughts_are_progress() -> None:
    thinking: Script = [step for _ in range(10) for step in (delta(reasoning_content="Hm."), 0.1)]
    script: Script = [
        HEAD,
        delta(content="Hello"),
        *thinking,
        delta(content="."),
        delta(finish="stop"),
        DONE,
        END,
    ]
    assert await answered(script, stall_s=0.5) == "Hello."


@pytest.mark.parametrize("encoding", [b"gzip", b"x-gzip"])
async def test_an_answer_that_is_packed_although_nobody_asked(encoding: bytes) -> None:
    events = b"".join(
        b"data: " + json.dumps(_chunk(text)).encode() + b"\n\n" for text in ("Good ", "morning.")
    )
    body = gzip.compress(events + b"data: [DONE]\n\n")
    assert await answered([headed(body, b"content-encoding: " + encoding)]) == "Good morning."


async def test_a_packed_answer_that_is_broken_or_cannot_be_read() -> None:
    body = gzip.compress(b"data: {}\n\n" * 50)
    with pytest.raises(ProviderError, match="mid-answer"):
        await answered([headed(body[:15] + b"no gzip at all!!!", b"content-encoding: gzip")])
    with pytest.raises(ProviderError, match=r"an encoding that was not asked for \(br\)"):
        await answered([headed(b"\x1b\x03\x00", b"content-encoding: br")])


async def test_a_page_in_place_of_an_answer() -> None:
    with pytest.raises(ProviderError, match="answered with a web page and not with a completion"):
        await answered([headed(PAGE, b"content-type: text/html; charset=utf-8")])


@pytest.mark.parametrize(
    "line", [b"x-filler: " + b"y" * 10_000 + b"\r\n", b"y" * 10_000], ids=["headers", "one header"]
)
async def test_a_head_without_an_end(line: bytes) -> None:
    with pytest.raises(ProviderError, match="head is endless"):
        await answered([b"HTTP/1.1 200 OK\r\nx-one: ", *[line for _ in range(20)], 5.0])


def _chunk(text: str) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (rb'{"choices":[{"delta":{"content":"Fine \ud83d"}}]}', "Fine "),
        (b'{"choices":[{"delta":{"content":"Fine \xff."}}]}', "Fine \N{REPLACEMENT CHARACTER}."),
        (b'{"choices":[{"delta":{"content":"Fine."},"logprobs":NaN}],"took":Infinity}', "Fine."),
    ],
    ids=["half an emoji", "no UTF-8", "NaN"],
)
def test_what_is_json_to_others(data: bytes, text: str) -> None:
    events, answer = EventStream(), StreamedReply()
    parts = [part for line in events.feed(b"data: " + data + b"\n\n") for part in answer.take(line)]
    assert [part.text for part in parts if isinstance(part, TextDelta)] == [text]


@asynccontextmanager
async def portal(answer: Callable[[bytes], bytes]) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                lengths = [
                    line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                ]
                await reader.readexactly(int(lengths[0]) if lengths else 0)
                writer.write(answer(head))

    async with tcp(serve) as url:
        yield f"{url}/v1"


async def test_a_portals_page_is_no_warm_connection_and_the_doctors_question_is_not_answered_by_it() -> None:
    async with portal(lambda head: headed(PAGE, b"content-type: text/html")) as url:
        llm = ChatLLM(ChatSettings(url, "k", "gpt-4.1-mini"))
        try:
            await llm.start()
            async with asyncio.timeout(DEADLINE_S):
                while not (fault := llm.pools()[0].fault):  # noqa: ASYNC110 - the pool's state
                    await asyncio.sleep(0.01)
            assert "answered with a web page" in fault.why
            assert "Sign in to the network" in fault.why
            with pytest.raises(ProviderError, match="web page"):
                await llm.probe()
        finally:
            await llm.aclose()


async def test_a_key_that_is_revoked_while_connections_are_warm() -> None:
    """Each request says so, in words, and the next dial finds it too."""
    revoked = False

    def answer(head: bytes) -> bytes:
        body = json.dumps({"error": {"message": "This key was revoked."}} if revoked else {}).encode()
        return (
            b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n"
            % (b"401 Unauthorized" if revoked else b"200 OK", len(body))
            + body
        )

    async with portal(answer) as url:
        llm = ChatLLM(ChatSettings(url, "k", "gpt-4.1-mini"))
        try:
            await llm.start()
            await llm.wait_warm(DEADLINE_S)
            revoked = True
            with pytest.raises(ProviderError, match="revoked") as raised:
                [part async for part in llm.reply(ASKED)]
            assert not raised.value.retryable
            with pytest.raises(ProviderError, match="refused the API key"):
                await llm.probe()
        finally:
            await llm.aclose()


async def test_a_body_that_is_never_ended_costs_its_socket_alone() -> None:
    script = [step for step in reply("Hello.") if step != END]
    async with scripted([*script, 30.0], reply("Again.")) as server:
        llm = ChatLLM(ChatSettings(server.base_url, "k", "gpt-4.1-mini"))
        try:
            async with asyncio.timeout(DEADLINE_S):
                for words in ("Hello.", "Again."):
                    parts = [part async for part in llm.reply(ASKED)]
                    assert "".join(part.text for part in parts if isinstance(part, TextDelta)) == words
        finally:
            await llm.aclose()
