"""Ending and handing on a call: what carriers' APIs and the edge are asked, and what they may answer."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from tests.regional.app.running import TICKET_KEY

from repartee.app.carrier_control import CarrierControl, what_calls_lack
from repartee.app.settings import read_settings
from repartee_edge.telephone.outcomes import LineOutcome, verify_outcome
from repartee_edge.tickets import TicketKeys

XML = '<?xml version="1.0" encoding="UTF-8"?>'
Answer = tuple[int, str]


class FarEnd:
    """A carrier's API, or the edge: notes what it is asked, and answers as told."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str], str]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}
        body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
        self.asked.append((first.rpartition(" ")[0], headers, body))
        status, text = self.answer
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def far_end(answer: Answer) -> AsyncIterator[tuple[FarEnd, str]]:
    end = FarEnd(answer)
    server = await asyncio.start_server(end.serve, "127.0.0.1", 0)
    async with server:
        yield end, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Line:
    """As much of a line as its control needs."""

    hang_up: Callable[[], Any]


def control(carrier: str, base_url: str, **more: str) -> CarrierControl:
    keys = {
        "TWILIO_ACCOUNT_SID": "AC1",
        "TWILIO_AUTH_TOKEN": "token",
        "TWILIO_BASE_URL": base_url,
        "TELNYX_API_KEY": "key",
        "TELNYX_BASE_URL": base_url,
    }
    return CarrierControl(read_settings({**keys, **more}), Line(), carrier, "C:1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("carrier", "to", "path", "sent"),
    [
        ("twilio", None, "/2010-04-01/Accounts/AC1/Calls/C%3A1.json", {"Status": ["completed"]}),
        (
            "twilio",
            "+15550122",
            "/2010-04-01/Accounts/AC1/Calls/C%3A1.json",
            {"Twiml": [f"{XML}<Response><Dial>+15550122</Dial></Response>"]},
        ),
        (
            "twilio",
            "sip:desk@pbx.example",
            "/2010-04-01/Accounts/AC1/Calls/C%3A1.json",
            {"Twiml": [f"{XML}<Response><Dial><Sip>sip:desk@pbx.example</Sip></Dial></Response>"]},
        ),
        ("telnyx", None, "/v2/calls/C%3A1/actions/hangup", {}),
        ("telnyx", "+15550122", "/v2/calls/C%3A1/actions/transfer", {"to": "+15550122"}),
    ],
)
async def test_what_a_carriers_api_is_asked(carrier: str, to: str | None, path: str, sent: Any) -> None:
    async with far_end((200, "{}")) as (api, url):
        one = control(carrier, url)
        assert one.can == {"hang_up", "hold", "transfer", "dtmf", "on_dtmf"}
        await (one.hang_up() if to is None else one.transfer(to))
    [(request, headers, body)] = api.asked
    assert request == f"POST {path}"
    if carrier == "twilio":
        assert headers["authorization"] == f"Basic {base64.b64encode(b'AC1:token').decode()}"
        assert parse_qs(body) == sent
    else:
        assert headers["authorization"] == "Bearer key"
        assert json.loads(body) == sent


@pytest.mark.parametrize(
    ("carrier", "answer"),
    [
        ("twilio", (404, '{"code": 20404}')),
        ("telnyx", (422, '{"errors": [{"code": "90018", "title": "Call has already ended"}]}')),
        ("telnyx", (404, "{}")),
    ],
)
async def test_a_call_that_is_over_already_is_no_error(
    carrier: str, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    async with far_end(answer) as (_, url):
        await control(carrier, url).hang_up()
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


@pytest.mark.parametrize(
    ("to", "outcome"), [(None, LineOutcome("hang_up")), ("+1555", LineOutcome("transfer", "+1555"))]
)
async def test_without_an_api_the_edge_is_told(to: str | None, outcome: LineOutcome) -> None:
    async with far_end((204, "")) as (edge, url):
        one = control("plivo", "http://127.0.0.1:1", REPARTEE_EDGE_URL=url, REPARTEE_TICKET_KEY=TICKET_KEY)
        assert "transfer" in one.can
        await (one.hang_up() if to is None else one.transfer(to))
    [(request, headers, _)] = edge.asked
    assert request == "POST /v1/telephone/plivo/outcome"
    token = headers["authorization"].removeprefix("Bearer ")
    assert verify_outcome(TicketKeys(TICKET_KEY), token, carrier="plivo", now=time.time()) == ("C:1", outcome)


async def test_an_api_that_fails_is_no_end_of_it() -> None:
    async with far_end((500, "")) as (api, url), far_end((204, "")) as (edge, edge_url):
        one = control("twilio", url, REPARTEE_EDGE_URL=edge_url, REPARTEE_TICKET_KEY=TICKET_KEY)
        await one.hang_up()
        assert len(api.asked) == len(edge.asked) == 1
    await control("twilio", "http://127.0.0.1:1").hang_up()  # nobody there: the stream is closed all the same


def test_without_any_key_a_call_can_be_hung_up_and_no_more() -> None:
    assert control("exotel", "http://127.0.0.1:1").can == {"hang_up", "hold", "dtmf", "on_dtmf"}


@pytest.mark.parametrize("carrier", ["vonage", "exotel"])
def test_a_carrier_that_asks_nothing_after_a_stream_hands_nobody_on(carrier: str) -> None:
    one = control(
        carrier,
        "http://127.0.0.1:1",
        REPARTEE_EDGE_URL="http://127.0.0.1:2",
        REPARTEE_TICKET_KEY=TICKET_KEY,
    )
    assert "transfer" not in one.can
    followed = {"REPARTEE_EDGE_URL": "http://127.0.0.1:2", "REPARTEE_TICKET_KEY": TICKET_KEY}
    assert "transfer" in control("plivo", "http://127.0.0.1:1", **followed).can


def test_what_a_carriers_calls_lack_is_said_at_the_start() -> None:
    twilio = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "token"}
    assert what_calls_lack(read_settings(twilio)) == []
    assert what_calls_lack(read_settings({})) == []
    others = {"VONAGE_SIGNATURE_SECRET": "secret", "SIGNALWIRE_SIGNING_KEY": "key"}
    edge = {"REPARTEE_EDGE_URL": "http://127.0.0.1:2", "REPARTEE_TICKET_KEY": TICKET_KEY}
    assert what_calls_lack(read_settings({**twilio, **others, **edge})) == [
        "calls at signalwire cannot be handed on with a briefing, be placed",
        "calls at vonage cannot be handed on, be hung up but by closing their streams, be handed on with a briefing, "
        "be placed",
    ]
    assert what_calls_lack(read_settings({"TWILIO_AUTH_TOKEN": "token"})) == [
        "calls at twilio cannot be handed on, be hung up but by closing their streams, be handed on with a briefing, "
        "be placed"
    ]
