"""Pipecat's OpenAIRealtimeLLMService in a pipeline, with the aggregators that its documentation has around it."""

import asyncio
import sys

from driver import FORECAST, TOOL_DESCRIPTION, TOOL_NAME, speak, tell
from loguru import logger
from pipecat.adapters.schemas.function_schema import FunctionSchema
from pipecat.adapters.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import ErrorFrame, Frame, InputAudioRawFrame, LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService


class Errors(FrameProcessor):
    """Tells of what goes wrong."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, ErrorFrame):
            tell("error", error=frame.error)
        await self.push_frame(frame, direction)


async def main(url: str, tool: bool) -> None:
    # What ends its receiving task is logged, and no frame tells of it.
    logger.add(lambda message: tell("error", error=str(message)), level="ERROR")
    schema = FunctionSchema(TOOL_NAME, TOOL_DESCRIPTION, {"city": {"type": "string"}}, ["city"])
    tools = ToolsSchema([schema] if tool else [])
    properties = events.SessionProperties(
        tools=tools,
        audio=events.AudioConfiguration(
            input=events.AudioInput(turn_detection=events.SemanticTurnDetection())
        ),
    )
    service = OpenAIRealtimeLLMService(
        api_key="dev",
        base_url=url,
        settings=OpenAIRealtimeLLMService.Settings(
            model="gpt-any",
            system_instruction="You are the front desk of a small bank.",
            session_properties=properties,
        ),
    )

    async def weather_forecast(params: FunctionCallParams) -> None:
        await params.result_callback({"forecast": FORECAST})

    service.register_function(TOOL_NAME, weather_forecast)
    context = LLMContext(tools=tools)
    pair = LLMContextAggregatorPair(context)
    pipeline = Pipeline([Errors(), pair.user(), service, Errors(), pair.assistant()])
    task = PipelineTask(
        pipeline, params=PipelineParams(audio_in_sample_rate=24_000, audio_out_sample_rate=24_000)
    )

    @task.event_handler("on_pipeline_error")
    async def failed(task: object, frame: ErrorFrame) -> None:
        tell("error", error=frame.error)

    running = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
    await task.queue_frame(LLMRunFrame())

    async def send(pcm: bytes) -> None:
        await task.queue_frame(InputAudioRawFrame(audio=pcm, sample_rate=24_000, num_channels=1))

    await speak(send)
    await task.cancel()
    await running


asyncio.run(main(sys.argv[1], "tool" in sys.argv[2:]))
