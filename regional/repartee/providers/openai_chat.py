"""A language model behind OpenAI's chat completions, at OpenAI or any compatible endpoint.

Owns that protocol's stream (deltas, tool calls in pieces, finish reasons) and its faults. The official SDK makes
the request over connections that our own pool keeps warm; the stream is read as it comes, as the SDK's models cost
more per token than all the rest. It does not know what is asked, or what becomes of the answer.

    llm = ChatLLM(ChatSettings(base_url="https://api.openai.com/v1", api_key=..., model="gpt-5.6-luna"))
    await llm.start()                                   # begins warming, returns at once
    llm.warm; llm.pools()                             # bool; tuple of PoolFigures
    await llm.wait_warm(timeout_s)                      # raises PoolTimeout
    async with contextlib.aclosing(llm.reply(request)) as parts: ...   # TextDelta, CalledTool, Finished, TokenUsage
    await llm.aclose()

One per process. Closing the iterator early cancels the request at the provider.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, cast

import httpx2
import msgspec
import openai

from repartee.errors import ProviderError, VoiceError
from repartee.pool.settings import PoolSettings
from repartee.providers.chat_body import MOST_REFUSALS, ChatBody
from repartee.providers.chat_stream import DONE, BrokenAnswer, EventStream, StreamedReply
from repartee.providers.chat_transfer import Lull, page_in, plain_body
from repartee.providers.http_line import HttpLine
from repartee.providers.http_pool import LineConnector, PooledTransport, WarmUp
from repartee.providers.interfaces import ReplyPart, ReplyRequest
from repartee.providers.model_end import shutdown_date
from repartee.providers.open_connections import OpenConnections
from repartee.providers.openai_models import limit_field
from repartee.providers.pooled import Pooled, Use
from repartee.providers.sockets import tls_context
from repartee.providers.vendor import Opening
from repartee.providers.vendor_errors import VendorErrors, retry_after_s
from repartee.wire import outside_json


def _llm_pool() -> PoolSettings:
    return PoolSettings(spare=4, max_age_s=600.0, keepalive_s=30.0)


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """An endpoint and how we use it. ``base_url`` includes ``/v1``, as the SDK has it.

    ``provider`` names the endpoint in errors and traces. ``extra`` goes into every request's body, before what the
    model's family needs (see :mod:`repartee.providers.openai_models`), as ``max_tokens_field`` does.
    """

    base_url: str
    api_key: str
    model: str
    provider: str = "openai"
    label: str = ""
    """What it is called in a sentence; empty: as ``provider`` says."""

    variables: tuple[str, str] | None = None
    """The settings of its key and its address, where they do not follow from its name."""

    pool_name: str = ""
    max_tokens_field: str | None = None
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 15.0
    """The longest silence before and within an answer."""
    stall_s: float | None = None
    """The longest silence within an answer that has begun, where it is shorter."""
    drain_timeout_s: float = 0.5
    """After the last token, how long the end of the stream is waited for in the background, to keep the socket."""
    usage_timeout_s: float = 0.25
    """After the last token, how long what the answer has used is waited for."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    effort: str = ""
    """``reasoning_effort``; empty: the least that the model's family can do."""

    service_tier: str = ""
    pool: PoolSettings = field(default_factory=_llm_pool)

    @property
    def tokens_field(self) -> str:
        return self.max_tokens_field or limit_field(self.base_url, self.model)


PROBE = ReplyRequest(messages=({"role": "user", "content": "Say OK."},), max_tokens=16)
"""A request such as a call's, where it has to be found out whether one would be answered."""


class ChatLLM(Pooled[HttpLine]):
    """Streams replies from one endpoint and model."""

    def __init__(self, settings: ChatSettings) -> None:
        self._settings = settings
        label = settings.label or settings.provider
        self._errors = VendorErrors(settings.provider, "llm", label, variables=settings.variables)
        self._body = ChatBody(
            settings.model,
            settings.tokens_field,
            effort=settings.effort,
            service_tier=settings.service_tier,
            extra=settings.extra,
        )
        base_url = settings.base_url.rstrip("/")
        self._url = f"{base_url}/chat/completions"
        warm_up = WarmUp(
            url=f"{base_url}/models",
            headers={"Authorization": f"Bearer {settings.api_key}"},
            errors=self._errors,
            probe_url=self._url,
            probe=lambda: self._body.of(PROBE),
            learn=self._body.learn,
            timeout_s=settings.connect_timeout_s,
        )
        lines = OpenConnections(settings.connect_timeout_s)
        self._lines = LineConnector(warm_up, tls_context, lines)
        super().__init__(settings.pool_name or settings.provider, settings.pool, lines)
        transport = PooledTransport(self.acquire, self._lines)
        timeout = httpx2.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s)
        self._client = openai.AsyncOpenAI(
            api_key=settings.api_key,
            base_url=base_url,
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultAsyncHttpxClient(
                transport=transport, timeout=timeout, follow_redirects=False
            ),
        )
        self._draining: set[asyncio.Task[None]] = set()

    @property
    def model(self) -> str:
        return self._settings.model

    async def probe(self) -> None:
        """Ask the model for a few tokens, as a call would. Raises ProviderError."""
        await self._lines.probe()

    async def ends_on(self) -> date | None:
        """When the model will be shut down, if its server says so."""
        return await shutdown_date(self._client, self._settings.model)

    async def start(self) -> None:
        """Begin warming; returns when the SDK is ready (a tenth of a second), the connections follow."""
        await super().start()
        await self._rehearse()

    async def aclose(self) -> None:
        """Close all connections; replies under way fail. Idempotent."""
        for task in tuple(self._draining):
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        await super().aclose()

    def connector(self, use: Use) -> LineConnector:
        return self._lines

    async def close_client(self) -> None:
        await self._client.close()

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        """Stream one reply; the last part is Finished, or TokenUsage. Raises ProviderError or PoolTimeout."""
        response = await self._send(request)
        body = plain_body(response)
        events, reply = EventStream(), StreamedReply(counted=self._body.counted)
        drained: asyncio.Future[None] | None = None
        lull = Lull(self._settings.read_timeout_s)
        try:
            while (piece := await self._next_piece(body, lull)) is not None:
                progress = reply.progress
                for data in events.feed(piece):
                    for part in reply.take(data):
                        yield part
                        lull.limit_s = self._settings.stall_s or lull.limit_s
                if reply.finished:
                    break
                if reply.progress > progress:
                    lull.over()
            else:
                for part in (*(part for data in events.finish() for part in reply.take(data)), *reply.end()):
                    yield part
        except BrokenAnswer as error:
            what = page_in(response) or f"broke off its answer: {error}"
            raise self._errors.error(what, error.word) from error
        except (httpx2.HTTPError, OSError) as error:
            raise self._errors.error(f"was lost in mid-answer ({error!r})") from error
        finally:
            if reply.finished:
                drained = self._drain(response, body, events, reply)
            else:
                await response.aclose()
        if not reply.usage and drained and self._body.counted:
            await asyncio.wait([drained], timeout=self._settings.usage_timeout_s)
            if reply.usage:
                yield reply.usage
            self._body.note_answer(counted=bool(reply.usage))

    async def _next_piece(self, body: AsyncIterator[bytes], lull: Lull) -> bytes | None:
        """What the server sends next; None: no more. Raises ProviderError if nothing of an answer comes for too
        long."""
        try:
            # Silence alone is the connection's to notice, unless less of it is allowed than there.
            if lull.limit_s >= self._settings.read_timeout_s:
                lull.check()
                return await anext(body, None)
            async with asyncio.timeout(lull.left_s):
                return await anext(body, None)
        except TimeoutError:
            raise self._errors.error(f"sent nothing for {lull.limit_s:g} s in mid-answer") from None

    async def _rehearse(self) -> None:
        """Make one request that goes nowhere: the SDK's first takes 60 to 130 ms more than any other."""
        nowhere = httpx2.MockTransport(lambda request: httpx2.Response(200))
        async with httpx2.AsyncClient(transport=nowhere) as http:
            await _post(self._client.with_options(http_client=http), self._url, b"{}")

    async def _send(self, request: ReplyRequest) -> httpx2.Response:
        """Ask, and return when the answer has begun."""
        try:
            return await self._ask(request)
        except openai.APIStatusError as error:
            raise self._refused(error) from error
        except openai.APITimeoutError as error:
            raise self._errors.error("did not answer in time") from error
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, VoiceError):
                raise error.__cause__ from error
            raise self._errors.error(f"could not be reached: {error.__cause__!r}") from error

    async def _ask(self, request: ReplyRequest) -> httpx2.Response:
        """Ask; again, without it, if the server refuses a parameter by name. Raises the SDK's exceptions."""
        for refusals in range(MOST_REFUSALS + 1):
            body = self._body.of(request)
            try:
                return await _post(self._client, self._url, msgspec.json.encode(body, enc_hook=_plain))
            except openai.APIStatusError as error:
                learnt = self._body.learn(body, error.status_code, error.param, error.message)
                if not learnt or refusals == MOST_REFUSALS:
                    raise
        raise AssertionError("it has returned or raised")

    def _drain(
        self, response: httpx2.Response, body: AsyncIterator[bytes], events: EventStream, reply: StreamedReply
    ) -> asyncio.Future[None]:
        """Read the end of a finished stream in the background: only then can its socket be used again. What is
        returned is done once the usage has come, or will not."""
        counted = asyncio.get_running_loop().create_future()

        async def drain() -> None:
            try:
                async with asyncio.timeout(self._settings.drain_timeout_s):
                    async for piece in body:
                        for data in events.feed(piece):
                            reply.take(data)
                            if (reply.usage or data == DONE) and not counted.done():
                                counted.set_result(None)
            except (TimeoutError, httpx2.HTTPError, OSError, BrokenAnswer):
                pass  # the socket is closed instead, and replaced by the pool
            finally:
                if not counted.done():
                    counted.set_result(None)
                await response.aclose()

        task = asyncio.create_task(drain(), name="drain a finished reply")
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)
        return counted

    def _refused(self, error: openai.APIStatusError) -> ProviderError:
        status = error.status_code
        return self._errors.error(
            f"refused the request with status {status} ({error.message})",
            error.code,
            error.type,
            status=status,
            retry_after_s=retry_after_s(error.response.headers),
        )


def _plain(value: object) -> object:
    """What a request may hold beside lists and dicts."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"a request to the language model cannot hold {type(value).__name__}")


async def _post(client: openai.AsyncOpenAI, url: str, body: bytes) -> httpx2.Response:
    """Have the SDK make the request, authenticate it and judge the answer's status, and give the answer as it comes.

    Its typed ``create`` walks every message by its type (5 to 15 ms with 20 of them), and half a millisecond at best.
    A whole ``url`` spares it taking the base URL apart.
    """
    answer: object = await client.post(
        url,
        cast_to=httpx2.Response,
        content=body,
        options={"headers": {"Content-Type": "application/json", "Accept-Encoding": "identity"}},
        stream=True,
        stream_cls=openai.AsyncStream[object],
    )
    return cast(httpx2.Response, answer)


def open_chat(opening: Opening) -> ChatLLM:
    """As the table of vendors has it opened."""
    options = opening.options
    account = opening.account
    settings = ChatSettings(
        opening.base_url,
        opening.key,
        opening.model,
        account.name,
        variables=(account.key_variable, account.url_variable),
        pool_name=opening.name,
        stall_s=opening.stall_s,
        extra=outside_json.decode(options.get("extra_body") or "{}"),
        effort=options.get("reasoning_effort", ""),
        service_tier=options.get("service_tier", ""),
    )
    return ChatLLM(replace(settings, pool=opening.sized(settings.pool)))
