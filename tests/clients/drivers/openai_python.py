"""The openai package for Python, as its own documentation uses it."""

import asyncio
import base64
import sys

from driver import FORECAST, TOOL_DESCRIPTION, TOOL_NAME, speak, tell
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeConversationItemFunctionCallOutputParam as Output
from openai.types.realtime import RealtimeFunctionToolParam, RealtimeSessionCreateRequestParam


async def main(url: str, tool: bool) -> None:
    base = url.removesuffix("/realtime")
    async with (
        AsyncOpenAI(api_key="dev", websocket_base_url=base) as client,
        client.realtime.connect(model="gpt-any") as connection,
    ):
        session: RealtimeSessionCreateRequestParam = {
            "type": "realtime",
            "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}},
        }
        if tool:
            parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
            function: RealtimeFunctionToolParam = {
                "type": "function",
                "name": TOOL_NAME,
                "description": TOOL_DESCRIPTION,
                "parameters": parameters,
            }
            session["tools"] = [function]
        await connection.session.update(session=session)

        async def listen() -> None:
            calls = []
            async for event in connection:
                if event.type == "error":
                    tell("error", error=event.error.to_json())
                elif event.type == "response.function_call_arguments.done":
                    calls.append(event.call_id)
                elif event.type == "response.done" and calls:
                    for call_id in calls:
                        item: Output = {
                            "type": "function_call_output",
                            "call_id": call_id,
                            "output": FORECAST,
                        }
                        await connection.conversation.item.create(item=item)
                    calls.clear()
                    await connection.response.create()

        listening = asyncio.create_task(listen())
        await speak(lambda pcm: connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode()))
        listening.cancel()


asyncio.run(main(sys.argv[1], "tool" in sys.argv[2:]))
