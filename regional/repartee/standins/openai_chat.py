"""OpenAI's ``/v1/chat/completions`` and ``/v1/models``: streamed and whole, tools, usage, errors.

Owns the wire and the pace; what is answered comes from :mod:`repartee.standins.language_model`.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from repartee.standins.bad_request import BadRequest
from repartee.standins.chat_request import MODELS, ChatRequest, is_served, read_request
from repartee.standins.errands import ToolRequest
from repartee.standins.faults import IN_ANSWER, Fault, FaultError, FaultGate
from repartee.standins.language_model import Answer, answer, tokens_of
from repartee.standins.link import AT_CONNECTION, Scope, fault_for, headers_of
from repartee.standins.spoilt import spoilt
from repartee.standins.state import StandInState, key_is_good
from repartee.standins.timing import wait_until

BODY_LIMIT_BYTES = 4_000_000
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    404: "invalid_request_error",
    429: "requests",
    500: "server_error",
    503: "server_error",
}
ERROR_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
USUAL_MESSAGES = {
    401: "Incorrect API key provided.",
    429: "Rate limit reached for requests. Please try again later.",
    500: "The server had an error while processing your request.",
    503: "The engine is currently overloaded, please try again later.",
}


class RequesterGone(Exception):
    """The client closed the connection before it was answered."""


class Exchange:
    """One HTTP request and its response."""

    def __init__(self, scope: Scope, receive: Any, send: Any) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.request_id = f"req_{uuid.uuid4().hex}"

    async def body(self) -> bytes:
        """The request's body. Raises BadRequest if it is too long."""
        parts: list[bytes] = []
        size = 0
        while True:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise RequesterGone
            part = event.get("body", b"")
            size += len(part)
            if size > BODY_LIMIT_BYTES:
                raise BadRequest("The body is too long.", status=413)
            parts.append(part)
            if not event.get("more_body"):
                return b"".join(parts)

    async def gone(self) -> None:
        """Wait until the client has gone away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, headers: dict[str, str]) -> None:
        """Send the status and the headers."""
        fields = {"x-request-id": self.request_id, **headers}
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
            }
        )

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send a part of the response's body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def json(self, status: int, document: object, headers: dict[str, str] | None = None) -> None:
        """Send a whole JSON response."""
        body = json.dumps(document).encode()
        fields = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        await self.start(status, fields)
        await self.write(body, last=True)

    async def error(
        self, status: int, message: str | None = None, param: str | None = None, code: str | None = None
    ) -> None:
        """Send an error in OpenAI's shape."""
        headers = {"retry-after": "1", "retry-after-ms": "1000"} if status == 429 else {}
        await self.json(status, error_document(status, message, param, code), headers)

    def reset(self) -> None:
        """Tear the TCP connection down."""
        socket = self.scope.get("extensions", {}).get("standins.transport")
        if socket is not None:  # else uvicorn closes the connection, as the answer ends in the middle
            socket.abort()


def error_document(
    status: int, message: str | None = None, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The body of an error, in OpenAI's shape."""
    return {
        "error": {
            "message": message or USUAL_MESSAGES.get(status, "The request failed."),
            "type": ERROR_TYPES.get(status, "invalid_request_error"),
            "param": param,
            "code": code or ERROR_CODES.get(status),
        }
    }


async def chat_completions(scope: Scope, receive: Any, send: Any, state: StandInState) -> None:
    """The ASGI application of ``POST /v1/chat/completions``."""
    started_s = time.monotonic()
    exchange = Exchange(scope, receive, send)
    counts = state.stats.of("openai")
    counts.requests += 1
    try:
        fault = await _admit(exchange, state, AT_CONNECTION | IN_ANSWER.keys())
        if fault is None or fault.refusal_status is None:
            request = read_request(await exchange.body(), state.models)
            counts.messages_in += 1
            await _with_client(exchange, state, Completion(exchange, state, request, fault, started_s).send())
    except BadRequest as error:
        counts.refused += 1
        await exchange.error(error.status, str(error), error.param, error.code)
    except RequesterGone:
        counts.cancelled += 1


async def models(scope: Scope, receive: Any, send: Any, state: StandInState) -> None:
    """The ASGI application of ``GET /v1/models`` and ``GET /v1/models/{model}``."""
    exchange = Exchange(scope, receive, send)
    try:
        fault = await _admit(exchange, state)
    except BadRequest as error:
        await exchange.error(error.status, str(error), error.param, error.code)
        return
    except RequesterGone:
        return
    if fault is not None and fault.refusal_status is not None:
        return
    wanted = scope["path"].removeprefix("/v1/models").strip("/")
    known = [_model(name) for name in (*MODELS, *state.models)]
    if not wanted:
        await exchange.json(200, {"object": "list", "data": known})
    elif not is_served(wanted, state.models):
        await exchange.error(404, f"The model '{wanted}' does not exist", "model", "model_not_found")
    else:
        await exchange.json(200, _model(wanted))


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "stand-in"}


async def _admit(
    exchange: Exchange, state: StandInState, kinds: frozenset[str] = AT_CONNECTION
) -> Fault | None:
    """The request's fault, after refusing what has to be refused. Raises BadRequest."""
    try:
        fault = fault_for(exchange.scope, "openai", state.faults, kinds)
    except FaultError as error:
        raise BadRequest(str(error)) from error
    if fault is not None and fault.kind == "hang_at_connect":
        await exchange.body()
        await exchange.gone()
        raise RequesterGone
    status = fault.refusal_status if fault is not None else None
    kind, _, key = headers_of(exchange.scope).get("authorization", "").partition(" ")
    if status is None and not (kind.lower() == "bearer" and key_is_good(key)):
        raise BadRequest(USUAL_MESSAGES[401], status=401)
    if status is not None:
        state.stats.of("openai").refused += 1
        await exchange.error(status)
    return fault


async def _with_client(exchange: Exchange, state: StandInState, work: Any) -> None:
    """Do the work for as long as the client is there."""
    counts = state.stats.of("openai")
    counts.active += 1
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(exchange.gone())
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            counts.finished += 1
        else:
            counts.cancelled += 1
    finally:
        counts.active -= 1
        for one in (task, gone):
            one.cancel()


class Completion:
    """One chat completion, at the profile's pace."""

    def __init__(
        self,
        exchange: Exchange,
        state: StandInState,
        request: ChatRequest,
        fault: Fault | None,
        started_s: float,
    ) -> None:
        self._exchange = exchange
        self._state = state
        self._request = request
        self._fault = fault
        self._id = f"chatcmpl-{uuid.uuid4().hex[:24]}"
        self._created = int(time.time())
        llm = state.profile.llm
        late_ms = fault.delay_ms if fault is not None and fault.kind == "slow_first_token" else 0.0
        self._first_s = started_s + (state.draw("ttft", llm.ttft_ms) + late_ms) / 1000
        rate = state.draw("tokens", llm.tokens_per_s) if llm.tokens_per_s is not None else None
        self._interval_s = 1 / rate if rate is not None else 0.0
        self._gate = FaultGate(fault, started_s)

    async def send(self) -> None:
        """Answer the request to its end."""
        request = self._request
        lines = self._state.engines.lines if self._state.engines.light else ()
        reply = spoilt(self._fault) or answer(request.messages, request.tools, request.tool_choice, lines)
        tokens = tokens_of(reply.text)
        filtered = self._fault is not None and self._fault.kind == "filtered_response"
        reason = "content_filter" if filtered else "tool_calls" if reply.tool_calls else "stop"
        if request.max_tokens is not None and len(tokens) > request.max_tokens:
            tokens, reason = tokens[: request.max_tokens], "length"
        if request.stream:
            await self._stream(reply, tokens, reason)
        else:
            await self._whole(reply, tokens, reason)

    async def _whole(self, reply: Answer, tokens: list[str], reason: str) -> None:
        await wait_until(self._first_s + self._interval_s * max(0, len(tokens) - 1))
        message: dict[str, Any] = {"role": "assistant", "content": "".join(tokens) or None, "refusal": None}
        if reply.tool_calls:
            message["tool_calls"] = [_call(call) for call in reply.tool_calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        await self._exchange.json(
            200, {**self._head("chat.completion"), "choices": [choice], "usage": self._usage(len(tokens))}
        )

    async def _stream(self, reply: Answer, tokens: list[str], reason: str) -> None:
        await self._exchange.start(
            200, {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        )
        deltas = [{"content": token} for token in tokens]
        for index, call in enumerate(reply.tool_calls):
            deltas += _call_deltas(index, call)
        for number, delta in enumerate(deltas):
            events = [self._event([_choice(delta)])]
            if number == 0:
                role = {"role": "assistant", "content": "" if "content" in delta else None, "refusal": None}
                events.insert(0, self._event([_choice(role)]))
            late_ms = await wait_until(self._first_s + self._interval_s * number)
            if number == 0:
                self._state.stats.lateness_ms.append(late_ms)
            for event in events:
                if not await self._send(event):
                    return
        if not await self._send(self._event([_choice({}, reason)])):
            return
        if self._request.include_usage:
            await self._send(self._event([], usage=self._usage(len(deltas))))
        await self._exchange.write(b"data: [DONE]\n\n")
        await self._exchange.write(b"", last=True)

    def _event(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> str:
        """One chunk, as it is sent; made before it is due."""
        chunk = {**self._head("chat.completion.chunk"), "choices": choices}
        if self._request.include_usage:
            chunk["usage"] = usage
        return json.dumps(chunk)

    async def _send(self, data: str) -> bool:
        """Send one chunk; False if a fault has ended the stream."""
        if self._gate.strikes(time.monotonic()) and self._fault is not None:
            return await self._strike(self._fault, data)
        self._state.stats.of("openai").messages_out += 1
        await self._exchange.write(f"data: {data}\n\n".encode())
        return True

    async def _strike(self, fault: Fault, data: str) -> bool:
        match fault.kind:
            case "malformed":
                await self._exchange.write(f"data: {data[: len(data) // 2]}\n\n".encode())
                return True
            case "error":
                error = json.dumps(error_document(fault.status or 500, fault.reason or None))
                await self._exchange.write(f"data: {error}\n\n".encode())
                await self._exchange.write(b"", last=True)
            case "close":
                await self._exchange.write(b"", last=True)
            case _:
                if fault.kind == "drop":
                    self._exchange.reset()
                await asyncio.Event().wait()
        return False

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._request.model,
            "service_tier": "default",
            "system_fingerprint": "fp_standin",
        }

    def _usage(self, completion: int) -> dict[str, Any]:
        prompt = sum(len(str(message.get("content") or "").split()) + 4 for message in self._request.messages)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
        }


def _choice(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _call(call: ToolRequest) -> dict[str, Any]:
    return {
        "id": f"call_{uuid.uuid4().hex[:24]}",
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _call_deltas(index: int, call: ToolRequest) -> list[dict[str, Any]]:
    """A tool call in pieces: id and name in the first only, then the arguments."""
    first = {"index": index, **_call(call)}
    first["function"] = {"name": call.name, "arguments": ""}
    parts = [call.arguments[at : at + 8] for at in range(0, len(call.arguments), 8)]
    rest = [{"index": index, "function": {"arguments": part}} for part in parts]
    return [{"tool_calls": [delta]} for delta in (first, *rest)]


Application = Callable[[Scope, Any, Any, StandInState], Awaitable[None]]
