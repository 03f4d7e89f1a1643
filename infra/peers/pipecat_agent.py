# mypy: ignore-errors
"""A Pipecat agent behind the benchmark's WebSocket: many calls in one process, each a pipeline of its own.

Runs in Pipecat's own environment (pipecat.txt beside this), which `repartee bench peers` makes; so it is not
type-checked with the rest. It uses what Pipecat recommends for low latency: Flux's turn events instead of a local
VAD, its eager end of turn, tokens streamed to the voice; raw audio as it is (24 kHz both ways, so that nothing is
resampled) and no metrics. All else is as Pipecat has it, but with --stripped what costs and brings no speed is off:
RTVI, turn tracking, silence between answers. Must not know what is measured.

    python pipecat_agent.py LIFELINE_FD PORT [--stripped]

LIFELINE_FD: a pipe; when its other end closes, this ends.
"""

import os
import sys
import threading
from contextlib import suppress
from importlib.metadata import version

import uvicorn
import uvloop
from loguru import logger
from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.deepgram.flux.stt import DeepgramFluxSTTService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.tts_service import TextAggregationMode
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

RATE_HZ = 24_000
INSTRUCTIONS = "You are a helpful voice assistant."
VOICE = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
MODEL, REASONING = "gpt-5.6-luna", {"reasoning_effort": "none"}
"""As the worker asks by default: docs/decisions/10-default-models.md."""
CHUNK_10MS = int(os.environ.get("PEER_CHUNK_10MS", "4"))
"""How much audio goes out at a time. Pipecat's default, 40 ms, is as fast as less and costs the least."""

STRIPPED = "--stripped" in sys.argv[3:]
TRANSPORT = {"audio_out_auto_silence": False, "audio_out_end_silence_secs": 0} if STRIPPED else {}
WORKER = {"enable_rtvi": False, "enable_turn_tracking": False} if STRIPPED else {}


class RawAudio(FrameSerializer):
    """Audio as it is, in binary messages; there is no simpler way."""

    async def serialize(self, frame: Frame) -> str | bytes | None:
        return frame.audio if isinstance(frame, OutputAudioRawFrame) else None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        if isinstance(data, bytes):
            return InputAudioRawFrame(audio=data, sample_rate=RATE_HZ, num_channels=1)
        return None


def ws(url: str) -> str:
    """The WebSocket address that belongs to a web address."""
    return url.replace("http", "ws", 1)


async def call(websocket: WebSocket) -> None:
    """Hold one call to its end."""
    await websocket.accept()
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            serializer=RawAudio(),
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_10ms_chunks=CHUNK_10MS,
            **TRANSPORT,
        ),
    )
    worker = PipelineWorker(
        pipeline(transport),
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
        idle_timeout_secs=None,
        **WORKER,
    )

    async def hang_up(transport: object, websocket: object) -> None:
        await worker.cancel()

    transport.event_handler("on_client_disconnected")(hang_up)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def pipeline(transport: FastAPIWebsocketTransport) -> Pipeline:
    """STT, LLM and TTS at the same addresses as the worker it is compared with."""
    env = os.environ
    stt = DeepgramFluxSTTService(
        api_key=env["DEEPGRAM_API_KEY"],
        url=ws(env["DEEPGRAM_BASE_URL"]) + "/v2/listen",
        sample_rate=RATE_HZ,
        enable_eager_end_of_turn=True,
    )
    llm = OpenAILLMService(
        api_key=env["OPENAI_API_KEY"],
        base_url=env["OPENAI_BASE_URL"],
        settings=OpenAILLMService.Settings(model=MODEL, system_instruction=INSTRUCTIONS, extra=REASONING),
    )
    tts = CartesiaTTSService(
        api_key=env["CARTESIA_API_KEY"],
        url=ws(env["CARTESIA_BASE_URL"]) + "/tts/websocket",
        sample_rate=RATE_HZ,
        text_aggregation_mode=TextAggregationMode.TOKEN,
        settings=CartesiaTTSService.Settings(voice=VOICE),
    )
    context = LLMContextAggregatorPair(LLMContext())
    return Pipeline(
        [transport.input(), stt, context.user(), llm, tts, transport.output(), context.assistant()]
    )


async def ready(request: Request) -> Response:
    """The process takes calls; tells which Pipecat this is."""
    return PlainTextResponse(f"Pipecat {version('pipecat-ai')}\n")


def tie(lifeline: int) -> None:
    """End this process when the other end of the pipe closes."""

    def watch() -> None:
        os.read(lifeline, 1)
        os._exit(0)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def main() -> None:
    tie(int(sys.argv[1]))
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    routes = [Route("/readyz", ready), WebSocketRoute("/v1/voice/session", call)]
    config = uvicorn.Config(
        Starlette(routes=routes),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        log_level="error",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
    )
    with suppress(KeyboardInterrupt):
        uvloop.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
