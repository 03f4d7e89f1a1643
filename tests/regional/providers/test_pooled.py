"""Pools by language and voice: a first call is warm whatever it speaks, over real sockets that count their dials."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.promptness import DEADLINE_S
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from repartee.pool.settings import PoolSettings
from repartee.providers.cartesia import CartesiaSettings, CartesiaTTS
from repartee.providers.deepgram import FluxSettings, FluxSTT, NovaSettings, NovaSTT
from repartee.providers.elevenlabs import ElevenLabsSettings, ElevenLabsTTS
from repartee.providers.pooled import MOST_LEARNT, Use

POOL = PoolSettings(spare=2, young_s=0.0, acquire_timeout_s=2.0, dials_per_s=1000, call_dials_per_s=1000)
GREETING = {"type": "Connected", "request_id": "a", "sequence_id": 0}


class FarEnd:
    """Takes every socket, greets as Flux does, and remembers what was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.dials: list[str] = []

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.dials.append(request.path)
        return None

    async def session(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            if connection.request and "/v2/listen" in connection.request.path:
                await connection.send(json.dumps(GREETING))
            async for _ in connection:
                pass

    def asked(self, name: str) -> list[str]:
        """The values of a parameter, dial by dial; "" where it was not given."""
        return [parse_qs(urlsplit(path).query).get(name, [""])[0] for path in self.dials]


@asynccontextmanager
async def far_end() -> AsyncIterator[FarEnd]:
    far = FarEnd()
    async with serve(far.session, "127.0.0.1", 0, process_request=far.admit) as server:
        far.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield far


Make = Callable[[str, list[Use]], Any]
Ask = Callable[[Any, Use], Any]


async def listen(ears: Any, use: Use) -> Any:
    transcriber = await ears.listen(language=use.language)
    return transcriber.aclose


async def speak(voice: Any, use: Use) -> Any:
    utterance = await voice.speak(1, voice=use.voice, language=use.language)
    return utterance.cancel


VENDORS: dict[str, tuple[Make, Ask]] = {
    "flux": (lambda url, uses: FluxSTT(FluxSettings(url, "k", pool=POOL), uses), listen),
    "nova": (lambda url, uses: NovaSTT(NovaSettings(url, "k", pool=POOL), uses), listen),
    "cartesia": (lambda url, uses: CartesiaTTS(CartesiaSettings(url, "k", "v", pool=POOL), uses), speak),
    "elevenlabs": (
        lambda url, uses: ElevenLabsTTS(ElevenLabsSettings(url, "k", "v", pool=POOL), uses),
        speak,
    ),
}
vendors = pytest.mark.parametrize("vendor", list(VENDORS))


@asynccontextmanager
async def warm(vendor: str, url: str, uses: list[Use]) -> AsyncIterator[Any]:
    provider = VENDORS[vendor][0](url, uses)
    await provider.start()
    await provider.wait_warm(DEADLINE_S)
    try:
        yield provider
    finally:
        await provider.aclose()


def misses(provider: Any) -> int:
    return sum(pool.misses for pool in provider.pools())


@pytest.mark.parametrize("use", [Use("en"), Use("de"), Use("pt-BR"), Use("de", "another voice")], ids=str)
@vendors
async def test_an_agents_first_call_dials_nothing_whatever_it_speaks(vendor: str, use: Use) -> None:
    async with far_end() as far, warm(vendor, far.url, [use]) as provider:
        done = await VENDORS[vendor][1](provider, use)
        assert (misses(provider), sum(pool.hits for pool in provider.pools())) == (0, 1)
        await done()


@pytest.mark.parametrize("vendor", ["flux", "nova", "elevenlabs"])
async def test_agents_of_two_languages_have_a_pool_each(vendor: str) -> None:
    uses = [Use("en"), Use("de")]
    async with far_end() as far, warm(vendor, far.url, uses) as provider:
        assert len(provider.pools()) == 2
        assert len({pool.name for pool in provider.pools()}) == 2, "names are metrics' labels"
        for use in uses:
            await (await VENDORS[vendor][1](provider, use))()
        assert misses(provider) == 0


async def test_agents_of_two_voices_have_a_pool_each_where_a_socket_has_one_voice() -> None:
    uses = [Use("en", "his"), Use("en", "hers")]
    async with far_end() as far:
        async with warm("elevenlabs", far.url, uses) as provider:
            assert [pool.ready for pool in provider.pools()] == [POOL.spare] * 2
            for use in uses:
                await (await speak(provider, use))()
            assert misses(provider) == 0
        async with warm("cartesia", far.url, uses) as provider:
            assert len(provider.pools()) == 1


async def test_elevenlabs_is_not_dialled_for_each_reply_in_another_voice_or_language() -> None:
    for use in (Use("de"), Use("en", "another"), Use("de", "another")):
        async with far_end() as far, warm("elevenlabs", far.url, [use]) as provider:
            before = len(far.dials)
            for _ in range(8):
                await (await speak(provider, use))()
            assert len(far.dials) == before


async def test_what_no_agent_named_is_dialled_once_and_kept_from_then_on() -> None:
    async with far_end() as far, warm("elevenlabs", far.url, [Use("en")]) as provider:
        await (await speak(provider, Use("fr")))()
        async with asyncio.timeout(DEADLINE_S):
            while len(provider.pools()) < 2 or not provider.pools()[1].ready:  # noqa: ASYNC110 - the pools' state
                await asyncio.sleep(0.01)
        before = len(far.dials)
        for _ in range(3):
            await (await speak(provider, Use("fr")))()
        assert len(far.dials) == before
        assert provider.warm, "the agent's own pools say that"


async def test_no_more_are_kept_than_the_limit_and_the_longest_unused_goes() -> None:
    async with far_end() as far, warm("flux", far.url, [Use("en")]) as provider:
        for number in range(MOST_LEARNT + 3):
            await (await listen(provider, Use(f"x{number}")))()
            assert len(provider.pools()) <= 1 + MOST_LEARNT
        assert len({pool.name for pool in provider.pools()}) == 1 + MOST_LEARNT
        before = len(far.dials)
        await (await listen(provider, Use("x0")))()
        assert "x0" in far.asked("language_hint")[before:], "it had made room"


async def test_an_agent_that_is_loaded_anew_is_as_warm() -> None:
    async with far_end() as far, warm("flux", far.url, [Use("en")]) as provider:
        provider.use([Use("de")])
        await provider.wait_warm(DEADLINE_S)
        await (await listen(provider, Use("de")))()
        assert misses(provider) == 0


async def test_cartesia_is_primed_in_the_voice_and_the_language_of_the_calls_to_come() -> None:
    heard: list[dict[str, Any]] = []

    async def session(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            heard.append(json.loads(await connection.recv()))
            await connection.wait_closed()

    async with serve(session, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        async with warm("cartesia", url, [Use("de-AT", "hers")]), asyncio.timeout(DEADLINE_S):
            while not heard:  # noqa: ASYNC110 - the far end's state
                await asyncio.sleep(0.01)
    assert (heard[0]["language"], heard[0]["voice"]["id"]) == ("de", "hers")


async def test_cartesia_is_primed_once_and_not_at_every_dial() -> None:
    heard: list[str] = []
    dials = 0

    async def session(connection: ServerConnection) -> None:
        nonlocal dials
        dials += 1
        with suppress(ConnectionClosed):
            async for message in connection:
                heard.append(str(message))  # noqa: PERF401 - as they come

    async with serve(session, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        pool = replace(POOL, max_age_s=0.2)
        voice = CartesiaTTS(CartesiaSettings(url, "k", "v", pool=pool))
        await voice.start()
        async with asyncio.timeout(DEADLINE_S):
            while dials < 20:  # noqa: ASYNC110 - the far end's count
                await asyncio.sleep(0.01)
        await voice.aclose()
    assert len(heard) == 1


@pytest.mark.parametrize("vendor", list(VENDORS))
async def test_failures_are_counted_by_reason(vendor: str) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(503, "overloaded")

    async def nobody(connection: ServerConnection) -> None:
        raise AssertionError("it was refused")

    async with serve(nobody, "127.0.0.1", 0, process_request=refuse) as server:
        provider = VENDORS[vendor][0](
            f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", [Use()]
        )
        await provider.start()
        async with asyncio.timeout(DEADLINE_S):
            while not provider.pools()[0].failures:  # noqa: ASYNC110 - the pool's state
                await asyncio.sleep(0.01)
        assert set(provider.pools()[0].failures) == {"http_503"}
        await provider.aclose()
