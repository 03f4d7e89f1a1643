"""What reading a provider's message costs, as it is read here and as the official SDK's types read it.

    PYTHONPATH=. .venv/bin/python -m tests.regional.providers.measure_messages

prints JSON: ``{"rows": [{"vendor", "message", "ours_us", "sdk_us", "ratio"}]}``, in CPU time of this process. The
ratio is the SDK's by ours, taken within one run; the messages are of the size and shape that come in a call.
"""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import cartesia.types
import openai.types.realtime as openai_realtime
from deepgram.listen.v2.types import ListenV2TurnInfo
from elevenlabs import AudioOutputMulti
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel, TypeAdapter

from repartee.providers import cartesia as our_cartesia
from repartee.providers import chat_stream
from repartee.providers import elevenlabs as our_elevenlabs
from repartee.providers.deepgram_streams import FLUX_MESSAGES
from repartee.wire import relay_events

ROUNDS, ROUND_S = 5, 0.1
AUDIO = base64.b64encode(bytes(4_800)).decode()

TURN = {
    "type": "TurnInfo",
    "request_id": "0b0e52b3-5d3a-4d6a-8a4e-0d9f3c1f5c11",
    "sequence_id": 11,
    "event": "Update",
    "turn_index": 0,
    "audio_window_start": 0.0,
    "audio_window_end": 2.4,
    "transcript": "I would like to book an appointment",
    "words": [
        {"word": word, "confidence": 0.98}
        for word in ["I", "would", "like", "to", "book", "an", "appointment"]
    ],
    "end_of_turn_confidence": 0.31,
}
TOKEN = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1_790_000_000,
    "model": "gpt-6-luna",
    "choices": [{"index": 0, "delta": {"content": " appointment"}, "finish_reason": None}],
}
CHUNK = {
    "type": "chunk",
    "context_id": "c-1",
    "data": AUDIO,
    "done": False,
    "status_code": 206,
    "step_time": 1.0,
}
SOUND = {
    "audio": AUDIO,
    "contextId": "c-1",
    "alignment": {
        "chars": list("an appointment "),
        "charStartTimesMs": [60 * number for number in range(15)],
        "charDurationsMs": [60] * 15,
    },
}
DELTA = {
    "type": "response.output_audio.delta",
    "event_id": "event_1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": AUDIO,
}


def cpu_us(read: Callable[[], object]) -> float:
    """CPU time of one reading: the best of some rounds, as what disturbs a round only adds to it."""
    best = float("inf")
    for _ in range(ROUNDS):
        count, began = 0, time.process_time()
        while (took := time.process_time() - began) < ROUND_S:
            for _ in range(50):
                read()
            count += 50
        best = min(best, took / count * 1e6)
    return best


def as_model(model: Any, raw: bytes) -> Callable[[], object]:
    """As the SDKs do it: the JSON to objects, and these to the type."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        return lambda: model.model_validate(json.loads(raw))
    adapter = TypeAdapter(model)
    return lambda: adapter.validate_python(json.loads(raw))


def measured() -> list[dict[str, object]]:
    cases: list[tuple[str, str, dict[str, Any], Callable[[bytes], object], Any]] = [
        ("deepgram", "TurnInfo", TURN, FLUX_MESSAGES.decode, ListenV2TurnInfo),
        ("openai", "chat.completion.chunk", TOKEN, chat_stream.CHUNK.decode, ChatCompletionChunk),
        (
            "openai",
            "response.output_audio.delta",
            DELTA,
            relay_events.audio_in,
            openai_realtime.ResponseAudioDeltaEvent,
        ),
        ("cartesia", "chunk", CHUNK, our_cartesia._MESSAGE.decode, cartesia.types.WebsocketResponse),
        ("elevenlabs", "audio", SOUND, our_elevenlabs._MESSAGE.decode, AudioOutputMulti),
    ]
    rows: list[dict[str, object]] = []
    for vendor, name, message, ours, model in cases:
        raw = json.dumps(message).encode()
        ours_us, sdk_us = cpu_us(lambda ours=ours, raw=raw: ours(raw)), cpu_us(as_model(model, raw))  # type: ignore[misc]
        row = {"ours_us": round(ours_us, 2), "sdk_us": round(sdk_us, 2), "ratio": round(sdk_us / ours_us, 1)}
        rows.append({"vendor": vendor, "message": name, **row})
    return rows


if __name__ == "__main__":
    print(json.dumps({"rows": measured()}, indent=1))
