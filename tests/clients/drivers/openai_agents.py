"""openai-agents for Python: a RealtimeSession with a RealtimeAgent."""

import asyncio
import sys

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner
from driver import FORECAST, TOOL_DESCRIPTION, TOOL_NAME, speak, tell


@function_tool(name_override=TOOL_NAME, description_override=TOOL_DESCRIPTION)
def weather_forecast(city: str) -> str:
    return FORECAST


async def main(url: str, tool: bool) -> None:
    agent = RealtimeAgent(
        name="desk",
        instructions="You are the front desk of a small bank.",
        tools=[weather_forecast] if tool else [],
    )
    runner = RealtimeRunner(agent)
    session = await runner.run(model_config={"api_key": "dev", "url": f"{url}?model=gpt-any"})
    async with session:

        async def listen() -> None:
            async for event in session:
                if event.type == "error":
                    tell("error", error=str(event.error))

        listening = asyncio.create_task(listen())
        await speak(session.send_audio)
        listening.cancel()


asyncio.run(main(sys.argv[1], "tool" in sys.argv[2:]))
