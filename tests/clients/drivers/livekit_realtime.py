"""LiveKit's openai.realtime.RealtimeModel: its session, without a room."""

import asyncio
import sys

from driver import FORECAST, TOOL_DESCRIPTION, TOOL_NAME, speak, tell
from livekit import rtc
from livekit.agents import llm
from livekit.plugins import openai


@llm.function_tool(name=TOOL_NAME, description=TOOL_DESCRIPTION)
async def weather_forecast(city: str) -> str:
    return FORECAST


async def main(url: str, tool: bool) -> None:
    base = url.removesuffix("/realtime").replace("ws", "http", 1)
    model = openai.realtime.RealtimeModel(model="gpt-any", api_key="dev", base_url=base)
    session = model.session()
    doing: set[asyncio.Task[None]] = set()

    async def take(event: llm.GenerationCreatedEvent) -> None:
        async def hear() -> None:
            async for message in event.message_stream:
                async for _ in message.audio_stream:
                    pass

        hearing = asyncio.create_task(hear())
        called = [call async for call in event.function_stream]
        await hearing
        if called:
            context = session.chat_ctx.copy()
            for call in called:
                context.items.append(
                    llm.FunctionCallOutput(
                        call_id=call.call_id, name=call.name, output=FORECAST, is_error=False
                    )
                )
            await session.update_chat_ctx(context)
            await session.generate_reply()

    def begun(event: llm.GenerationCreatedEvent) -> None:
        task = asyncio.create_task(take(event))
        doing.add(task)
        task.add_done_callback(finished)

    def finished(task: asyncio.Task[None]) -> None:
        doing.discard(task)
        if not task.cancelled() and task.exception():
            tell("error", error=repr(task.exception()))

    session.on("generation_created", begun)
    session.on("error", lambda error: tell("error", error=str(error.error)))
    if tool:
        await session.update_tools([weather_forecast])
    await session.update_instructions("You are the front desk of a small bank.")

    async def send(pcm: bytes) -> None:
        session.push_audio(rtc.AudioFrame(pcm, 24_000, 1, len(pcm) // 2))

    await speak(send)
    await session.aclose()


asyncio.run(main(sys.argv[1], "tool" in sys.argv[2:]))
