"""Every stand-in refuses what the service would not know: a parameter, a field, a message out of its order.

One row a mistake, and with each stand-in a row without one: what is refused is refused for its mistake.
"""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from tests.promptness import DEADLINE_S
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from repartee.standins.carrier.account import TELNYX_NUMBER, TWILIO_NUMBER
from repartee.standins.carrier.dialects import DIALECTS, StreamIdentity, StreamViolation
from repartee.standins.carrier.documents import DocumentRefused, read_document
from repartee.standins.server import Running, StandInSettings, serve

HEARD = {"encoding": "linear16", "sample_rate": "16000"}
FLUX = ("/v2/listen", {"model": "flux-general-en", **HEARD})
NOVA = ("/v1/listen", {"model": "nova-3", **HEARD})
FLUX_TTS = ("/v2/speak", {"model": "flux-alexis-en"})
SONIC = ("/tts/websocket", {"cartesia_version": "2026-08-14"})
INK = (
    "/stt/turns/websocket",
    {"model": "ink-2", "encoding": "pcm_s16le", "sample_rate": "16000", "cartesia_version": "2026-08-14"},
)
ELEVEN = ("/v1/text-to-speech/anna/multi-stream-input", {"model_id": "eleven_flash_v2_5"})
REALTIME = ("/v1/realtime", {"model": "gpt-realtime"})
SOCKETS = (FLUX, NOVA, FLUX_TTS, SONIC, INK, ELEVEN, REALTIME)
HEADERS = {"Authorization": "Bearer key", "xi-api-key": "key"}

Address = tuple[str, dict[str, str]]


def socket(running: Running, address: Address, **more: str) -> connect:
    path, query = address
    url = f"{running.base_url.replace('http', 'ws', 1)}{path}?{urlencode(query | more)}"
    return connect(url, additional_headers=HEADERS, proxy=None, open_timeout=DEADLINE_S)


@pytest.mark.parametrize("address", SOCKETS, ids=lambda address: address[0])
async def test_a_parameter_that_there_is_not(running: Running, address: Address) -> None:
    async with socket(running, address):
        pass
    with pytest.raises(InvalidStatus) as caught:
        async with socket(running, address, colour="green"):
            pass
    assert caught.value.response.status_code == 400
    headers, body = caught.value.response.headers, caught.value.response.body
    assert "colour" in headers.get("dg-error", "") + bytes(body or b"").decode()


SAY = {
    "context_id": "c1",
    "model_id": "sonic-3.5",
    "voice": {"mode": "id", "id": "anna"},
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000},
    "transcript": "Hello.",
}
TEXT = {"text": "Hello. ", "context_id": "c1"}
ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}


def session(**more: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **more}}


def realtime(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, **more}


UNKNOWN = "unknown_parameter"
WRONG: list[tuple[Address, list[dict[str, Any]], str, int | None]] = [
    # the socket, what is sent, what the refusal says, and the close code if it closes
    (FLUX, [{"type": "Configure", "colour": 1}], "UNPARSABLE_CLIENT_MESSAGE", 1008),
    (FLUX, [{"type": "Configure", "thresholds": {"colour": 1}}], "ConfigureFailure", None),
    (FLUX, [{"type": "ForceEndTurn", "colour": 1}], "UNPARSABLE_CLIENT_MESSAGE", 1008),
    (FLUX, [{"type": "CloseStream", "colour": 1}], "UNPARSABLE_CLIENT_MESSAGE", 1008),
    (FLUX, [{"type": "KeepAlive"}], "UNPARSABLE_CLIENT_MESSAGE", 1008),
    (NOVA, [{"type": "KeepAlive", "colour": 1}], "SchemaError", None),
    (NOVA, [{"type": "Finalize", "colour": 1}], "SchemaError", None),
    (NOVA, [{"type": "Configure", "colour": 1}], "SchemaError", None),
    (NOVA, [{"type": "ForceEndTurn"}], "SchemaError", None),
    (FLUX_TTS, [{"type": "Speak", "text": "Hello.", "colour": 1}], "MESSAGE-0000", 1008),
    (FLUX_TTS, [{"type": "Clear"}], "MESSAGE-0000", 1008),
    (FLUX_TTS, [{"type": "Flush"}], "NO_ACTIVE_SPEECH", None),
    (FLUX_TTS, [{"type": "Interrupt"}], "NO_AUDIO_GENERATED", None),
    (SONIC, [SAY | {"colour": 1}], "colour: no such field", None),
    (SONIC, [SAY | {"voice": {"mode": "id", "id": "a", "colour": 1}}], "voice.colour: no such field", None),
    (SONIC, [SAY | {"generation_config": {"colour": 1}}], "generation_config.colour", None),
    (SONIC, [{"context_id": "c1", "cancel": True, "transcript": "Hello."}], "transcript: no such", None),
    (SONIC, [SAY | {"continue": False}, SAY | {"continue": True}], "takes no more text", None),
    (INK, [{"type": "close", "colour": 1}], "bad_request", 1008),
    (INK, [{"type": "config", "turn": {"colour": 1}}], "bad_request", 1008),
    (INK, [{"type": "finalize"}], "bad_request", 1008),
    (ELEVEN, [TEXT | {"colour": 1}], "colour: no such field", 1008),
    (ELEVEN, [TEXT | {"voice_settings": {"colour": 1}}], "voice_settings.colour: no such field", 1008),
    (ELEVEN, [TEXT, TEXT | {"voice_settings": {"speed": 1.0}}], "only be provided in the first", 1008),
    (ELEVEN, [TEXT, {"context_id": "c1", "close_context": True}, TEXT], "takes no more text", 1008),
    (REALTIME, [session(colour=1)], UNKNOWN, None),
    (REALTIME, [session(audio={"input": {"turn_detection": {"type": "server_vad", "x": 1}}})], UNKNOWN, None),
    (REALTIME, [session(tools=[{"type": "function", "name": "f", "strict": True}])], UNKNOWN, None),
    (REALTIME, [realtime("input_audio_buffer.append", audio="", colour=1)], UNKNOWN, None),
    (REALTIME, [realtime("conversation.item.create", item=ITEM | {"colour": 1})], UNKNOWN, None),
    (REALTIME, [realtime("response.create", response={"modalities": ["audio"]})], UNKNOWN, None),
    (REALTIME, [realtime("response.paint")], "Supported values are", None),
    (REALTIME, [realtime("response.cancel")], "no active response found", None),
    (REALTIME, [realtime("input_audio_buffer.commit")], "buffer too small", None),
    (REALTIME, [realtime("conversation.item.delete", item_id="item_1")], "does not exist", None),
]


@pytest.mark.parametrize(("address", "messages", "told", "code"), WRONG)
async def test_a_message_that_the_service_would_not_take(
    running: Running, address: Address, messages: list[dict[str, Any]], told: str, code: int | None
) -> None:
    async with asyncio.timeout(DEADLINE_S), socket(running, address) as line:
        for message in messages:
            await line.send(json.dumps(message))
        while told not in (said := str(await line.recv())):
            assert "rror" not in said.replace('"error": null', ""), said
        if code is not None:
            with pytest.raises(ConnectionClosed):
                while True:
                    await line.recv()
            assert line.close_code == code


RIGHT: list[tuple[Address, dict[str, Any], str]] = [
    (FLUX, {"type": "Configure", "thresholds": {"eot_threshold": 0.8}}, "ConfigureSuccess"),
    (NOVA, {"type": "Configure", "keyterms": ["Repartee"]}, "ConfigureSuccess"),
    (SONIC, SAY | {"generation_config": {"speed": 1.1}, "language": "en"}, '"done":true'),
    (ELEVEN, TEXT | {"voice_settings": {"speed": 1.1}, "flush": True}, "audio"),
    (REALTIME, session(audio={"input": {"turn_detection": None}}, tools=[]), "session.updated"),
    (REALTIME, realtime("conversation.item.create", item=ITEM, event_id="e1"), "conversation.item.done"),
]


@pytest.mark.parametrize(("address", "message", "told"), RIGHT)
async def test_a_message_that_the_service_takes(
    running: Running, address: Address, message: dict[str, Any], told: str
) -> None:
    async with asyncio.timeout(DEADLINE_S), socket(running, address) as line:
        await line.send(json.dumps(message))
        while told not in str(await line.recv()):
            pass


USER = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"colour": 1}, "Unrecognized request argument supplied: colour"),
        ({"messages": [USER | {"colour": 1}]}, "Unknown parameter: 'messages[0].colour'."),
        ({"messages": [USER | {"tool_call_id": "c"}]}, "Unknown parameter: 'messages[0].tool_call_id'."),
        ({"tools": [TOOL | {"colour": 1}]}, "Unknown parameter: 'tools[0].colour'."),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "colour": 1}}]},
            "Unknown parameter: 'tools[0].function.colour'.",
        ),
        ({"stream": True, "stream_options": {"colour": 1}}, "Unknown parameter: 'stream_options.colour'."),
        (
            {"messages": [USER, {"role": "tool", "tool_call_id": "c", "content": "ten"}]},
            "messages with role 'tool' must be a response to a prec",
        ),
    ],
)
async def test_a_chat_that_openai_would_not_take(
    running: Running, document: dict[str, Any], told: str
) -> None:
    good: dict[str, Any] = {"model": "gpt-4.1-mini", "messages": [USER]}
    async with httpx.AsyncClient(base_url=running.base_url, headers=HEADERS) as client:
        assert (await client.post("/v1/chat/completions", json=good)).status_code == 200
        answer = await client.post("/v1/chat/completions", json=good | document)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


WHO = StreamIdentity("MZ1", "CA1", "AC1", "+15550100", "+15550199")
AUDIO = {"event": "media", "media": {"payload": base64.b64encode(bytes(160)).decode()}}


@pytest.mark.parametrize("carrier", DIALECTS)
@pytest.mark.parametrize(
    "change",
    [
        {"colour": 1},
        {"media": AUDIO["media"] | {"colour": 1}},  # type: ignore[operator]
        {"event": "mark", "mark": {"name": "m", "colour": 1}},
        {"event": "paint"},
    ],
)
def test_a_streams_message_that_a_carrier_would_not_take(carrier: str, change: dict[str, Any]) -> None:
    dialect, message = DIALECTS[carrier](WHO), AUDIO | ({"streamSid": "MZ1"} if carrier == "twilio" else {})
    dialect.read(json.dumps(message))
    with pytest.raises(StreamViolation):
        dialect.read(json.dumps(message | change))


@pytest.mark.parametrize("carrier", DIALECTS)
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("<Pause length='1'/>", "<Pause length='1' colour='green'/>"),
        ("<Dial>+15550122</Dial>", "<Dial colour='green'>+15550122</Dial>"),
        ("<Hangup/>", "<Paint/>"),
    ],
)
def test_a_document_that_a_carrier_would_not_take(carrier: str, right: str, wrong: str) -> None:
    read_document(f"<Response>{right}</Response>", carrier)
    with pytest.raises(DocumentRefused):
        read_document(f"<Response>{wrong}</Response>", carrier)


async def test_a_field_that_a_carriers_interface_has_not() -> None:
    settings = StandInSettings(profile="instant", light=True, telephone="http://127.0.0.1:9")
    silence = "<Response><Pause length='9'/></Response>"
    async with serve(settings) as running:
        network = running.state.telephone
        assert network is not None
        account = network.account
        sid, token = account.twilio_sid, account.twilio_token
        async with httpx.AsyncClient(base_url=running.base_url) as client:
            for path, number, sent, refusal in (
                (f"/2010-04-01/Accounts/{sid}/Calls.json", TWILIO_NUMBER, "Twiml", 400),
                (f"/v2/texml/Accounts/{sid}/Calls", TELNYX_NUMBER, "Texml", 422),
            ):
                form = {"From": number, "To": "+15550122", sent: silence, "ApplicationSid": "app"}
                more: dict[str, Any] = {"auth": (sid, token)}
                if refusal == 422:
                    more = {"headers": {"Authorization": f"Bearer {account.telnyx_key}"}}
                placed = await client.post(path, data=form, **more)
                assert placed.is_success, placed.text
                refused = await client.post(path, data=form | {"Colour": "green"}, **more)
                assert (refused.status_code, "Colour" in refused.text) == (refusal, True)
                call = path.removesuffix(".json") + f"/{placed.json()['sid']}"
                call += ".json" if path.endswith(".json") else ""
                refused = await client.post(call, data={sent: silence, "Colour": "green"}, **more)
                assert (refused.status_code, "Colour" in refused.text) == (refusal, True)
