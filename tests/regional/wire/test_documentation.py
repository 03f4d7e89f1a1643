"""docs/protocol.md says what the code does."""

import json
import re
from pathlib import Path
from typing import Any, get_args

from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from repartee.app.client_socket import MAX_FRAGMENTS, Budget
from repartee.app.server import MAX_FRAME_BYTES, PING_INTERVAL_S
from repartee.latency.timeline import STAGES
from repartee.session.too_much import ClientLimits
from repartee.transport import close_codes
from repartee.transport.interfaces import CallEnd
from repartee.transport.realtime import OUTBOX_BYTES
from repartee.turn.item_list import HistoryLimits
from repartee.turn.outcome import TurnOutcome
from repartee.turn.reply import MAX_REPLY_CHARS
from repartee.wire.audio_format import PCM_RATES_HZ
from repartee.wire.client_events import EVENT_TYPES, MAX_EVENT_BYTES, MAX_OTHER_BYTES
from repartee.wire.session_settings import MAX_OUTPUT_TOKENS
from repartee.wire.settings_patch import (
    MAX_ID_CHARS,
    MAX_INSTRUCTIONS_CHARS,
    MAX_METADATA_KEY_CHARS,
    MAX_METADATA_PAIRS,
    MAX_METADATA_VALUE_CHARS,
    MAX_SCHEMA_DEPTH,
    MAX_TOOL_NAME_CHARS,
    MAX_TOOLS,
)

REGIONAL = Path(__file__).parents[3] / "regional" / "repartee"
PROTOCOL = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text under a heading, up to the next of its rank."""
    return PROTOCOL.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def first_column(text: str) -> set[str]:
    return {
        name
        for line in re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", line)
    }


def server_events() -> set[str]:
    """Every event type that the announcer, the session and the transports write down in their code."""
    shells = [*(REGIONAL / "session").glob("*.py"), *(REGIONAL / "transport").glob("*.py")]
    sources = [REGIONAL / "wire" / "announcer.py", *sorted(shells)]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    written = set(re.findall(r'event\(\s*"([a-z_.]+)"', text)) | set(
        re.findall(r'session\(\s*"(session\.[a-z]+)"', text)
    )
    # Those that are put together from parts:
    written |= {f"response.output_item.{what}" for what in re.findall(r'_output\("(\w+)"', text)}
    written |= {"response.function_call_arguments.delta", "response.function_call_arguments.done"}
    written |= {"response.output_audio_transcript.delta", "response.output_text.delta"}
    # One without an id:
    written |= {"input_audio_buffer.dtmf_event_received"}
    written |= {"conversation.item.input_audio_transcription.delta"}
    own = (REGIONAL / "wire" / "own_events.py").read_text(encoding="utf-8")
    return written | set(re.findall(r'"(repartee(?:\.\w+)+)"', own)) - {"repartee.events"}


def test_every_client_event_is_described_and_no_other() -> None:
    described = {
        name for name in first_column(section("What a client sends")) if name.count(".") and "buffer" in name
    }
    described |= {
        name
        for name in first_column(section("What a client sends"))
        if name.split(".")[0] in ("session", "conversation", "response", "repartee")
    }
    assert described == EVENT_TYPES


def test_every_server_event_is_described_and_no_other() -> None:
    described = {
        name for name in first_column(section("What the server sends")) if "." in name or name == "error"
    }
    assert described == server_events() | {"error"}


def test_the_stages_are_described_in_the_order_of_time() -> None:
    names = re.findall(r"^\| `(\w+)` \|", section("What the server sends"), re.MULTILINE)
    assert [name for name in names if name in STAGES] == list(STAGES)


def test_the_outcomes_of_turns_are_described() -> None:
    assert all(f"`{outcome}`" in PROTOCOL for outcome in get_args(TurnOutcome))


def test_the_example_is_made_of_events_as_the_sdk_has_them() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
    block = section("A conversation").split("```json\n")[1].split("```")[0]
    events = [json.loads(line) for line in block.splitlines()]
    assert len(events) > 20
    for event in events:
        if not event["type"].startswith("repartee."):
            adapter.validate_python({"event_id": "event_1", **event})
    latency = next(event for event in events if event["type"] == "repartee.turn.latency")
    assert abs(sum(latency["stages_ms"].values()) - latency["voice_to_voice_ms"]) < 1


def test_every_error_code_is_described_and_no_other() -> None:
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for floor in ("wire", "session", "transport", "turn")
        for path in (REGIONAL / floor).glob("*.py")
    )
    raised = set(re.findall(r'code="(\w+)"', text)) | set(re.findall(r'"(item_\w+_invalid_item_id)"', text))
    raised |= {"invalid_value", "stt_failed", "model_failed", "unknown_parameter"}
    raised.add("conversation_already_has_active_response")
    assert first_column(section("Errors")) == raised - {"provider_error"}


def test_close_codes_are_described() -> None:
    described = set(map(int, re.findall(r"^\| (\d{4}) \|", section("Close codes"), re.MULTILINE)))
    assert set(close_codes.OF) == set(CallEnd)
    ours = {value for value in vars(close_codes).values() if isinstance(value, int)}
    assert described == ours | {1007}
    assert f"every {PING_INTERVAL_S:.0f} s" in section("Close codes")


def test_limits_are_the_codes() -> None:
    text = section("Limits")
    mib = 1024 * 1024
    assert f"| one event | {MAX_EVENT_BYTES // mib} MiB |" in text
    assert f"| one frame | {MAX_FRAME_BYTES // mib} MiB |" in text
    assert f"| one event without audio | {MAX_OTHER_BYTES // mib} MiB |" in text
    assert f"| {ClientLimits().audio_event_s:.0f} s |" in text
    assert f"| {MAX_TOOLS}, with names of {MAX_TOOL_NAME_CHARS} characters |" in text
    assert f"| {MAX_METADATA_PAIRS} pairs; keys of {MAX_METADATA_KEY_CHARS} characters, values of " in text
    assert f"values of {MAX_METADATA_VALUE_CHARS} |" in text
    assert f"| {MAX_ID_CHARS} characters |" in text
    assert f"{HistoryLimits().items:,} items, {HistoryLimits().size // mib} MiB of text" in text
    assert f"| an answer | {MAX_REPLY_CHARS:,} characters |" in text
    assert f"| {MAX_FRAGMENTS:,} frames |" in text
    assert f"{Budget().messages_per_s:.0f} a second" in text
    assert f"{MAX_INSTRUCTIONS_CHARS:,} characters" in text
    assert f"{MAX_SCHEMA_DEPTH} levels" in text
    assert f"| {MAX_OUTPUT_TOKENS} |" in text
    assert f"| {OUTBOX_BYTES // mib} MiB |" in text
    assert all(str(rate) in section("Audio") for rate in PCM_RATES_HZ)
