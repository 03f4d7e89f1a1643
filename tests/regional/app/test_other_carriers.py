"""SignalWire, Plivo and Vonage: their calls are ended, handed on and placed by their own interfaces."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.free_ports import free_port
from tests.regional.app.running import TICKET_KEY, Region, region, until
from tests.regional.app.strict_carriers import Account, Plivo, SignalWire, Vonage, rest

from repartee.app.carrier_control import CarrierControl, end_call, what_calls_lack
from repartee.app.carriers.api import CallDocument
from repartee.app.carriers.document_links import AUDIENCE, DocumentLinks
from repartee.app.settings import Settings, read_settings
from repartee.errors import ConfigurationError
from repartee_edge.telephone.terms import sign_terms
from repartee_edge.tickets import TicketKeys, sign

CALLEE, OWN = "+15550142", "+15550199"


@dataclass(frozen=True)
class Place:
    """A region with an account at one carrier."""

    carrier: str
    account: Account
    region: Region

    @property
    def settings(self) -> Settings:
        return self.region.worker.settings

    def control(self, call_id: str) -> CarrierControl:
        return CarrierControl(self.settings, Line(), self.carrier, call_id, OWN)  # type: ignore[arg-type]

    async def asked(self, path: str = "calls", **body: Any) -> httpx.Response:
        ticket = sign(TicketKeys(TICKET_KEY), region="us-east", subject="acme", now=time.time())
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"{self.region.http}/v1/telephone/{path}"
            return await client.post(url, json=body, headers={"x-repartee-ticket": ticket})


class Line:
    """As much of a line as its control needs."""

    hang_up: Callable[[], Any]


@asynccontextmanager
async def place(providers: dict[str, str], carrier: str, **more: str) -> AsyncIterator[Place]:
    account: Account = SignalWire() if carrier == "signalwire" else Plivo()
    port = free_port()
    async with rest(account) as url:
        keys = {
            "REPARTEE_TICKET_KEY": TICKET_KEY,
            "REPARTEE_REGION": "us-east",
            "REPARTEE_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "REPARTEE_EDGE_URL": "http://127.0.0.1:1",
            "REPARTEE_DIAL_HOURS": "0-24",
            "REPARTEE_DIAL_FROM": OWN,
            "SIGNALWIRE_BASE_URL": url,
            "SIGNALWIRE_PROJECT_ID": SignalWire.user,
            "SIGNALWIRE_API_TOKEN": SignalWire.password,
            "SIGNALWIRE_SIGNING_KEY": SignalWire.key,
            "PLIVO_BASE_URL": url,
            "PLIVO_AUTH_ID": Plivo.user,
            "PLIVO_AUTH_TOKEN": Plivo.password,
        }
        async with region({**providers, **keys, **more}, allow_anonymous=False, port=port) as running:
            yield Place(carrier, account, running)


EACH = pytest.mark.parametrize("carrier", ["signalwire", "plivo"])


@EACH
async def test_a_call_is_handed_on_and_ended(
    providers: dict[str, str], carrier: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with place(providers, carrier) as here:
        for call_id in ("C1", "C2", "C3"):
            here.account.known(call_id)
        assert here.control("C1").can >= {"hang_up", "transfer"}
        await here.control("C1").transfer("+15550111")
        await here.control("C2").hang_up()
        await here.control("C2").hang_up()
        await here.control("C0").hang_up()
        await end_call(here.settings, carrier, "C3", "Good bye & thanks.")
    dialled = "<Dial><Number>+15550111</Number></Dial>" if carrier == "plivo" else "<Dial>+15550111</Dial>"
    voice = "Speak" if carrier == "plivo" else "Say"
    assert here.account.documents == {
        "C1": [f"<Response>{dialled}</Response>"],
        "C3": [f"<Response><{voice}>Good bye &amp; thanks.</{voice}><Hangup/></Response>"],
    }
    told = [r for r in caplog.records if r.name == "repartee.app.carrier_control" and r.levelname != "INFO"]
    assert told == [], "a call that is over is no error"


async def test_a_person_is_briefed_and_joined_with_the_caller_at_signalwire(
    providers: dict[str, str],
) -> None:
    briefing = "Frau Öztürk fragt nach ihrer Rechnung. " * 25
    answered: list[bool] = []
    async with place(providers, "signalwire") as here:
        account = here.account
        assert isinstance(account, SignalWire)
        account.known("C1")
        control = here.control("C1")
        assert "warm_transfer" in control.can
        joining = asyncio.create_task(
            control.warm_transfer("+15550111", briefing, lambda: answered.append(True))
        )
        await until(lambda: account.placed)
        assert not answered, "nobody has answered yet"
        await account.pick_up("sw-0")
        assert await joining
        await here.control("C2").hang_up()

        busy = asyncio.create_task(
            control.warm_transfer("+15550112", "Hello.", lambda: answered.append(False))
        )
        await until(lambda: len(account.placed) == 2)
        account.calls["sw-1"]["status"] = "busy"
        assert not await busy
    assert answered == [True] and account.placed[0]["To"] == "+15550111" and account.placed[0]["From"] == OWN
    [theirs], [callers] = (account.documents[call] for call in ("sw-0", "C1"))
    assert ElementTree.fromstring(theirs).findtext("Say") == briefing
    rooms = {ElementTree.fromstring(one).findtext("Dial/Conference") for one in (theirs, callers)}
    assert len(rooms) == 1 and rooms != {None}


async def test_plivo_says_not_when_a_person_has_answered_and_signalwire_needs_this_regions_address(
    providers: dict[str, str],
) -> None:
    async with place(providers, "plivo") as here:
        assert "warm_transfer" not in here.control("C1").can
        assert what_calls_lack(here.settings) == ["calls at plivo cannot be handed on with a briefing"]
    alone = {
        "SIGNALWIRE_BASE_URL": "http://127.0.0.1:1",
        "SIGNALWIRE_PROJECT_ID": "p",
        "SIGNALWIRE_API_TOKEN": "t",
    }
    assert what_calls_lack(read_settings({**alone, "SIGNALWIRE_SIGNING_KEY": "k"})) == [
        "calls at signalwire cannot be handed on, be handed on with a briefing"
    ]


@EACH
async def test_a_call_is_placed_and_counts_until_the_carrier_says_that_it_is_over(
    providers: dict[str, str], carrier: str
) -> None:
    async with place(providers, carrier, REPARTEE_DIAL_AT_ONCE="1") as here:
        account = here.account
        one = await here.asked(to=CALLEE, agent="bank", carrier=carrier, ring_s=20, metadata={"account": "7"})
        assert one.status_code == 201, one.text
        [wish] = account.placed
        named = one.json()["call_id"]
        busy = await here.asked(to="+15550143", carrier=carrier)
        assert (busy.status_code, busy.json()["error"]["code"]) == (429, "no_free_line")
        if carrier == "plivo":
            assert (named, wish["from"], wish["to"], wish["ring_timeout"]) == ("request-0", OWN, CALLEE, 20)
            assert wish["machine_detection"] == "true"
            answer, machine, ended = (
                wish[f"{name}_url"] for name in ("answer", "machine_detection", "hangup")
            )
            fields = {"CallUUID": "u1", "RequestUUID": named, "CallStatus": "completed", "Machine": "true"}
            account.known("u1")
        else:
            assert (named, wish["From"], wish["To"], wish["Timeout"]) == ("sw-0", OWN, CALLEE, "20")
            assert (wish["MachineDetection"], wish["AsyncAmd"]) == ("Enable", "true")
            answer, machine, ended = (
                wish[name] for name in ("Url", "AsyncAmdStatusCallback", "StatusCallback")
            )
            fields = {"CallSid": named, "CallStatus": "completed", "AnsweredBy": "machine_start"}
        assert urlsplit(answer).path == f"/v1/telephone/{carrier}/incoming"
        assert (await account.tell(machine, fields)).status_code == 204
        assert account.asked[-1].startswith("DELETE" if carrier == "plivo" else "POST"), "it is hung up"
        assert (await account.tell(ended, fields)).status_code == 204
        assert (await here.asked(to="+15550143", carrier=carrier, on_machine="ignore")).status_code == 201
        assert not any("achine" in name for name in account.placed[1])
        refused = await here.asked(
            to=CALLEE, **{"carrier": carrier, "from": OWN, "on_machine": "message", "message": "Hi."}
        )
        assert refused.json()["error"]["code"] == ("no_beeps" if carrier == "plivo" else "no_free_line")


async def test_a_call_whose_id_the_carrier_does_not_say_is_not_placed_again(
    providers: dict[str, str],
) -> None:
    async with place(providers, "plivo") as here:
        account = here.account
        assert isinstance(account, Plivo)
        account.nameless = True
        for _ in range(2):
            answer = await here.asked(to=CALLEE, carrier="plivo", key="once")
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_certain")
            account.nameless = False
        assert len(account.placed) == 1


@EACH
async def test_a_document_is_for_the_carrier_alone_and_for_a_while(
    providers: dict[str, str], carrier: str
) -> None:
    keys = TicketKeys(TICKET_KEY)
    async with place(providers, carrier) as here:
        base = f"{here.region.http}/v1/telephone/{carrier}/document"
        public, now = here.settings.public_url, time.time()
        good = DocumentLinks(public, TICKET_KEY, "us-east", now).url(carrier, CallDocument("end", say="Bye."))
        old = DocumentLinks(public, TICKET_KEY, "us-east", now - 1_000).url(
            carrier, CallDocument("end", say="Bye.")
        )
        placed = sign_terms(
            keys, region="us-east", agent="", metadata={"verb": "dial", "to": "+1900"}, now=now
        )
        odd = sign_terms(keys, region="us-east", agent="", metadata={"verb": "x"}, now=now, audience=AUDIENCE)
        torn = sign_terms(
            keys,
            region="us-east",
            agent="",
            metadata={"verb": "end", "say": "AAAA"},
            now=now,
            audience=AUDIENCE,
        )
        fields = {"CallSid": "C1", "CallUUID": "C1"}
        assert (await here.account.tell(good, fields)).status_code == 200
        for url in (old, *(f"{base}?terms={terms}" for terms in (placed, odd, torn, "x", ""))):
            assert (await here.account.tell(url, fields)).status_code == 403, url
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.post(good, data=fields)).status_code == 403, "nobody has signed it"


async def test_vonages_calls_are_handed_on_and_ended(caplog: pytest.LogCaptureFixture) -> None:
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = Vonage("application-1", private.public_key())
    async with rest(account) as url:
        one_line = pem.replace("\n", "\\n")
        keys = {
            "VONAGE_BASE_URL": url,
            "VONAGE_APPLICATION_ID": "application-1",
            "VONAGE_PRIVATE_KEY": one_line,
        }
        settings = read_settings({**keys, "VONAGE_SIGNATURE_SECRET": "secret"})
        for call_id in ("u-1", "u-2", "u-3"):
            account.known(call_id)

        def control(call_id: str) -> CarrierControl:
            return CarrierControl(settings, Line(), "vonage", call_id, OWN)  # type: ignore[arg-type]

        assert "transfer" in control("u-1").can and "warm_transfer" not in control("u-1").can
        await control("u-1").transfer("+15550111")
        await control("u-2").hang_up()
        await control("u-2").hang_up()
        await end_call(settings, "vonage", "u-3", "Good bye.")
    assert account.calls["u-2"] == {"status": "completed"}
    assert json.loads(account.documents["u-1"][0]) == [
        {"action": "connect", "endpoint": [{"type": "phone", "number": "15550111"}]}
    ]
    assert json.loads(account.documents["u-3"][0]) == [{"action": "talk", "text": "Good bye."}]
    assert [record for record in caplog.records if record.levelname != "INFO"] == [], "over is no error"
    assert what_calls_lack(settings) == ["calls at vonage cannot be handed on with a briefing, be placed"]


def test_a_key_for_vonage_that_signs_nothing_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"VONAGE_PRIVATE_KEY.*must be a private key"):
        read_settings({"VONAGE_PRIVATE_KEY": "-----BEGIN PRIVATE KEY-----\\nx\\n-----END PRIVATE KEY-----"})


def test_a_document_that_is_too_long_for_an_address_is_nowhere() -> None:
    rare = "".join(chr(0x4E00 + n * 37 % 20_000) for n in range(1_000))
    links = DocumentLinks("https://us.example.com", TICKET_KEY, "us-east", 1.0)
    assert links.url("plivo", CallDocument("end", say=rare)) == ""
    assert links.url("plivo", CallDocument("end", say="Hallo " * 150))
    assert DocumentLinks("", TICKET_KEY, "us-east", 1.0).url("plivo", CallDocument("end")) == ""
