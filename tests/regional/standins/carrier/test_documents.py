"""What the carriers' stand-ins take and refuse: documents, a stream's messages, REST requests; and how they play."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from repartee.standins.carrier import documents as d
from repartee.standins.carrier.account import TELNYX_NUMBER, TWILIO_NUMBER
from repartee.standins.carrier.dialects import (
    DIALECTS,
    DropAudio,
    PlayAudio,
    SetMark,
    StreamIdentity,
    StreamViolation,
)
from repartee.standins.carrier.network import TelephoneNetwork
from repartee.standins.carrier.playout import SILENCE, CarrierPlayout
from repartee.standins.server import Running, StandInSettings, serve

EACH = pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
WHO = StreamIdentity("MZ1", "CA1", "AC1", "+15550100", "+15550199")


def read(verbs: str, carrier: str = "twilio") -> list[d.Verb]:
    return d.read_document(f"<Response>{verbs}</Response>", carrier)


def test_a_document_is_its_verbs() -> None:
    stream = '<Connect><Stream url="wss://a.example/x"><Parameter name="k" value="v"/></Stream></Connect>'
    redirect = '<Redirect method="POST">https://a.example/next</Redirect>'
    assert read(stream + redirect) == [
        d.StreamVerb("wss://a.example/x", parameters={"k": "v"}),
        d.RedirectVerb("https://a.example/next"),
    ]
    assert read("<Dial>+15550122</Dial><Hangup/>") == [d.DialVerb("+15550122"), d.HangupVerb()]
    assert read("<Dial><Sip>sip:desk@pbx.example</Sip></Dial>") == [d.DialVerb("sip:desk@pbx.example")]
    room = '<Dial><Conference waitUrl="" endConferenceOnExit="true">r</Conference></Dial>'
    assert read(room) == [d.DialVerb(conference="r", wait_url="", ends_on_exit=True)]


def test_without_its_mode_telnyx_streams_one_way() -> None:
    [one_way] = read('<Connect><Stream url="wss://a.example/x"/></Connect>', "telnyx")
    [both] = read('<Connect><Stream url="wss://a.example/x" bidirectionalMode="rtp"/></Connect>', "telnyx")
    assert isinstance(one_way, d.StreamVerb) and isinstance(both, d.StreamVerb)
    assert (one_way.both_ways, both.both_ways) == (False, True)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<Response>", d.UNREADABLE),
        ("<Twiml/>", d.INVALID),
        ("<Response><Dance/></Response>", d.INVALID),
        ('<Response><Connect><Stream url="https://a.example"/></Connect></Response>', d.BAD_STREAM),
        ('<Response><Connect><Stream url="ws://a.example/x"/></Connect></Response>', d.BAD_STREAM),
        ('<Response><Connect><Stream url="wss://a.example/x?ticket=1"/></Connect></Response>', d.BAD_STREAM),
        ("<Response><Redirect>next</Redirect></Response>", d.INVALID),
        ("<Response><Dial></Dial></Response>", 13214),
        ("<Response><Dial>sip:desk@pbx.example</Dial></Response>", 13223),
        ("<Response><Say></Say></Response>", d.INVALID),
    ],
)
def test_what_is_no_document_is_refused_under_twilios_number(text: str, code: int) -> None:
    with pytest.raises(d.DocumentRefused) as refused:
        d.read_document(text, "twilio")
    assert refused.value.code == code


def message(carrier: str, event: str, **fields: Any) -> str:
    own = {"streamSid": "MZ1"} if carrier == "twilio" else {}
    return json.dumps({"event": event, **own, **fields})


@EACH
def test_a_stream_takes_audio_marks_and_clear(carrier: str) -> None:
    dialect = DIALECTS[carrier](WHO)
    payload = base64.b64encode(b"\x80" * 160).decode()
    assert dialect.read(message(carrier, "media", media={"payload": payload})) == PlayAudio(b"\x80" * 160)
    assert dialect.read(message(carrier, "mark", mark={"name": "1"})) == SetMark("1")
    assert dialect.read(message(carrier, "clear")) == DropAudio()


@EACH
@pytest.mark.parametrize(
    "bad",
    [
        "no JSON",
        "[]",
        b"\x80",
        '{"event": "dance"}',
        '{"event": "media", "media": {}}',
        '{"event": "media", "media": {"payload": "%%%"}}',
        '{"event": "mark", "mark": {}}',
    ],
)
def test_a_stream_takes_nothing_else(carrier: str, bad: str | bytes) -> None:
    with pytest.raises(StreamViolation):
        DIALECTS[carrier](WHO).read(bad)


def test_twilio_takes_only_messages_of_this_stream_and_telnyx_20_ms_to_30_s() -> None:
    with pytest.raises(StreamViolation, match="31924"):
        DIALECTS["twilio"](WHO).read('{"event": "clear", "streamSid": "MZ2"}')
    for length in (80, 8 * 30_001):
        payload = base64.b64encode(bytes(length)).decode()
        with pytest.raises(StreamViolation, match="100005"):
            DIALECTS["telnyx"](WHO).read(message("telnyx", "media", media={"payload": payload}))


def test_marks_come_back_when_their_audio_was_played_or_cleared() -> None:
    playout = CarrierPlayout()
    playout.put(b"\x01" * 240)
    playout.mark("a")
    playout.put(b"\x02" * 160)
    playout.mark("b")
    assert playout.play() == (b"\x01" * 160, [])
    assert playout.play() == (b"\x01" * 80 + b"\x02" * 80, ["a"])
    assert playout.clear() == ["b"]
    assert playout.play() == (SILENCE, [])
    playout.mark("c")
    assert playout.play() == (SILENCE, ["c"])


def test_audio_beyond_ten_minutes_is_thrown_away() -> None:
    playout = CarrierPlayout()
    for _ in range(11):
        playout.put(bytes(8 * 60_000))
    assert playout.waiting_ms == 600_000 and playout.thrown_away_ms == 60_000


@pytest.fixture
async def carriers() -> AsyncIterator[tuple[Running, TelephoneNetwork]]:
    async with serve(
        StandInSettings(profile="instant", light=True, telephone="http://127.0.0.1:1")
    ) as running:
        assert running.state.telephone is not None
        yield running, running.state.telephone


Carriers = tuple[Running, TelephoneNetwork]


async def asked(carriers: Carriers, path: str, *, telnyx: bool = False, **fields: Any) -> httpx.Response:
    running, network = carriers
    account = network.account
    auth = None if telnyx else (account.twilio_sid, account.twilio_token)
    headers = {"authorization": f"Bearer {account.telnyx_key}"} if telnyx else {}
    url = running.base_url + path.replace("{AC}", account.twilio_sid)
    async with httpx.AsyncClient(trust_env=False, auth=auth, headers=headers) as client:
        return await client.post(url, data=fields)


CALLS = "/2010-04-01/Accounts/{AC}/Calls.json"
GOOD: dict[str, Any] = {"From": TWILIO_NUMBER, "To": "+15550123", "Url": "https://a.example/x"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"From": "+15550666"}, 21210),
        ({"To": "help"}, 21211),
        ({"Url": ""}, 21205),
        ({"Url": "", "Twiml": "<Response><Dance/></Response>"}, 12200),
        ({"StatusCallbackEvent": "dancing"}, 21626),
        ({"MachineDetection": "Enable"}, 21624),
        ({"Timeout": "soon"}, 21216),
    ],
)
async def test_a_call_is_created_only_as_the_carrier_has_it(
    carriers: Carriers, change: dict[str, Any], code: int
) -> None:
    assert (await asked(carriers, CALLS, **GOOD)).status_code == 201
    refused = await asked(carriers, CALLS, **{**GOOD, **change})
    assert (refused.status_code, refused.json()["code"]) == (400, code)


async def test_the_wrong_key_and_calls_that_are_not_there(carriers: Carriers) -> None:
    running, network = carriers
    async with httpx.AsyncClient(trust_env=False) as client:
        url = running.base_url + CALLS.replace("{AC}", network.account.twilio_sid)
        assert (await client.post(url, data=GOOD)).status_code == 401
        assert (await client.post(f"{running.base_url}/v2/calls/v3:x/actions/hangup")).status_code == 401
    missing = await asked(carriers, CALLS.replace(".json", "/CA1.json"), Status="completed")
    assert (missing.status_code, missing.json()["code"]) == (404, 20404)
    gone = await asked(carriers, "/v2/calls/v3:x/actions/hangup", telnyx=True)
    assert gone.status_code == 404


async def test_a_telnyx_call_that_is_over_says_so(carriers: Carriers) -> None:
    network = carriers[1]
    placed = await asked(
        carriers, "/v2/texml/Accounts/telnyx-user/Calls", telnyx=True,
        **{**GOOD, "From": TELNYX_NUMBER, "ApplicationSid": "1"},
    )  # fmt: skip
    call = network.calls[placed.json()["sid"]]
    while not call.over:
        await network.idle()
    over = await asked(carriers, f"/v2/calls/{call.id}/actions/hangup", telnyx=True)
    assert over.status_code == 422 and over.json()["errors"][0]["code"] == "90018"


async def test_a_number_is_found_bought_and_pointed_at_an_edge(carriers: Carriers) -> None:
    network = carriers[1]
    numbers = "/2010-04-01/Accounts/{AC}/IncomingPhoneNumbers.json"
    bought = await asked(carriers, numbers, PhoneNumber="+15550123", VoiceUrl="https://edge.example/incoming")
    assert bought.status_code == 201
    assert network.numbers["+15550123"].voice_url == "https://edge.example/incoming"
    own = numbers.replace(".json", f"/{bought.json()['sid']}.json")
    assert (await asked(carriers, own, StatusCallback="https://edge.example/status")).status_code == 200
    assert network.numbers["+15550123"].status_url == "https://edge.example/status"
    assert (await asked(carriers, numbers, PhoneNumber="help")).json()["code"] == 21421
