"""A conversation through the edge with the official OpenAI client, unchanged: five turns, one of them a barge-in."""

import asyncio
import base64
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from repartee.client.playback import PlaybackClock
from repartee.standins.synthesiser import synthesise

RATE_HZ = 24_000
FRAME_BYTES = RATE_HZ * 2 * 20 // 1000
QUESTIONS = (
    "What are your opening hours?",
    "How do you work?",
    "Can you hear me?",
    "How are you?",
    "Thank you.",
)
INTERRUPTED = 1
"""Which answer the next question interrupts."""

HEARD_BEFORE_MS = 2_500.0


@dataclass
class Listener:
    """What a client written for OpenAI's API keeps of a call."""

    connection: AsyncRealtimeConnection
    speaker: PlaybackClock = field(default_factory=lambda: PlaybackClock(RATE_HZ))
    order: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    status: list[str] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    truncated: dict[str, int] = field(default_factory=dict)
    items: dict[str, Any] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        async for event in self.connection:
            if not self.order or self.order[-1] != event.type:
                self.order.append(event.type)
            if event.type == "response.output_item.added" and event.item.type == "message":
                self.answers.append(str(event.item.id))
            elif event.type == "response.output_audio.delta":
                self.speaker.add(event.item_id, base64.b64decode(event.delta), time.monotonic())
            elif event.type == "response.output_audio_transcript.delta":
                self.said[event.item_id] = self.said.get(event.item_id, "") + event.delta
            elif event.type == "conversation.item.input_audio_transcription.completed":
                self.questions.append(event.transcript.lower())
            elif event.type == "input_audio_buffer.speech_started":
                await self.stop_speaking()
            elif event.type == "conversation.item.truncated":
                self.truncated[event.item_id] = event.audio_end_ms
            elif event.type == "conversation.item.retrieved":
                self.items[str(event.item.id)] = event.item
            elif event.type == "response.done":
                self.status.append(str(event.response.status))
            elif event.type == "error":
                self.errors.append(event.error)
            self.changed.set()

    async def stop_speaking(self) -> None:
        if stopped := self.speaker.stop(time.monotonic()):
            await self.connection.conversation.item.truncate(
                item_id=stopped.item_id, content_index=0, audio_end_ms=stopped.played_ms
            )

    async def until(self, reached: Any, within_s: float = 25.0) -> None:
        async with asyncio.timeout(within_s):
            while not reached():
                self.changed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), 0.05)


async def speak(connection: AsyncRealtimeConnection, queue: asyncio.Queue[bytes]) -> None:
    """A phone line: a frame every 20 ms, silence where nothing is said."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        frame = queue.get_nowait() if not queue.empty() else bytes(FRAME_BYTES)
        await connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())
        due += 0.02
        await asyncio.sleep(due - loop.time())


async def test_five_turns_with_a_barge_in(system: str) -> None:
    client = AsyncOpenAI(
        api_key="dev", base_url=f"{system}/v1", websocket_base_url=f"{system.replace('http', 'ws')}/v1"
    )
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    async with client.realtime.connect(model="gpt-realtime") as connection:
        call = Listener(connection)
        tasks = [asyncio.create_task(call.listen()), asyncio.create_task(speak(connection, queue))]
        for number, question in enumerate(QUESTIONS):
            pcm = synthesise(question, voice="en-gb-x-rp", rate_hz=RATE_HZ).pcm
            for at in range(0, len(pcm), FRAME_BYTES):
                queue.put_nowait(pcm[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0"))
            await call.until(lambda number=number: len(call.answers) > number)
            item = call.answers[number]
            if number == INTERRUPTED:
                await call.until(
                    lambda item=item: call.speaker.played_ms(item, time.monotonic()) > HEARD_BEFORE_MS
                )
            else:
                await call.until(lambda number=number: len(call.status) > number)
                await call.until(lambda: call.speaker.ends_at_s < time.monotonic())
        for item in call.answers:
            await connection.conversation.item.retrieve(item_id=item)
        await call.until(lambda: len(call.items) == len(QUESTIONS))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()

    assert call.errors == []
    assert call.questions[0].startswith("what are your opening hours")
    assert len(call.questions) == len(call.answers) == len(QUESTIONS)
    assert "eight thirty" in call.said[call.answers[0]]
    assert call.status[INTERRUPTED] == "cancelled"
    assert {status for n, status in enumerate(call.status) if n != INTERRUPTED} == {"completed"}

    # What the history keeps of the interrupted answer is what was heard: a beginning of it, and not much more.
    cut = call.answers[INTERRUPTED]
    assert HEARD_BEFORE_MS < call.truncated[cut] < HEARD_BEFORE_MS + 2_500
    kept = [transcript(call.items[item]) for item in call.answers]
    whole = " ".join(call.said[cut].split())
    assert kept[INTERRUPTED] and whole.startswith(kept[INTERRUPTED])
    heard_words = call.truncated[cut] / 1000 * 4.5
    assert len(kept[INTERRUPTED].split()) < min(heard_words, len(whole.split()) / 2)
    for number, item in enumerate(call.answers):
        if number != INTERRUPTED:
            assert kept[number] == " ".join(call.said[item].split())


def transcript(item: Any) -> str:
    return " ".join(" ".join(part.transcript or "" for part in item.content).split())
