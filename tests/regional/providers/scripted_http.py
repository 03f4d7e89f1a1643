"""An HTTP server that answers with exactly the bytes a test wants: the stand-ins are too well-behaved for some.

What it is asked it checks as strictly as they do.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from repartee.standins.bad_request import BadRequest
from repartee.standins.chat_request import read_request
from repartee.standins.openai_chat import error_document

Script = list[bytes | float | asyncio.Event | None]
"""Bytes to send, seconds to wait, an event to wait for; None closes the connection."""


def refusal(error: BadRequest) -> bytes:
    body = json.dumps(error_document(error.status, str(error), error.param, error.code)).encode()
    return b"HTTP/1.1 %d Refused\r\ncontent-length: %d\r\n\r\n%s" % (error.status, len(body), body)


@dataclass
class ScriptedServer:
    """Answers GETs with an empty object and each POST with the next script; a request that OpenAI would refuse with a
    400, and no script."""

    scripts: list[Script] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    base_url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line[15:])
                        for line in head.lower().split(b"\r\n")
                        if line.startswith(b"content-length:")
                    ),
                    0,
                )
                body = await reader.readexactly(length)
                if head.startswith(b"GET"):
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                    continue
                self.heads.append(head)
                self.requests.append(json.loads(body))
                try:
                    read_request(body, also_served=(self.requests[-1]["model"],))
                except BadRequest as error:
                    writer.write(refusal(error))
                    continue
                for step in self.scripts.pop(0):
                    if isinstance(step, bytes):
                        writer.write(step)
                    elif isinstance(step, float):
                        await asyncio.sleep(step)
                    elif step is None:
                        return
                    else:
                        await step.wait()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer(list(scripts))
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(server.serve(reader, writer)))

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    server.base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
DONE = b"e\r\ndata: [DONE]\n\n\r\n"


def piece(data: bytes) -> bytes:
    """One chunk of HTTP's chunked coding."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(document: object) -> bytes:
    """One server-sent event in a chunk of its own."""
    return piece(b"data: " + json.dumps(document).encode() + b"\n\n")


def delta(*, finish: str | None = None, **fields: Any) -> bytes:
    """A chat completion chunk."""
    return event(
        {
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": fields, "finish_reason": finish}],
        }
    )


def reply(*words: str, finish: str = "stop") -> Script:
    """A whole, well-formed answer."""
    return [HEAD, *(delta(content=word) for word in words), delta(finish=finish), DONE, END]
