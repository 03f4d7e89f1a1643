"""What carriers are answered: documents, follow-ups, and that nothing forged has any effect."""

import base64
import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from tests.edge.telephone.test_signatures import FORM, KEYS, NOW, signed

from repartee_edge import tickets
from repartee_edge.health import RegionStatus
from repartee_edge.placement import Caller
from repartee_edge.replies import EdgeReply
from repartee_edge.request import EdgeRequest
from repartee_edge.router import Router
from repartee_edge.settings import EdgeSettings, read_settings
from repartee_edge.telephone import documents
from repartee_edge.telephone.names import KEY_NAMES
from repartee_edge.telephone.outcomes import (
    AskOutcome,
    KeepOutcome,
    LineOutcome,
    outcome_from_words,
    sign_outcome,
)
from repartee_edge.telephone.signatures import CARRIERS, Webhook
from repartee_edge.telephone.terms import sign_terms

TICKET_KEY = "k" * 40
ENV = {
    "REPARTEE_API_KEY": "acme:sk-acme",
    "REPARTEE_TICKET_KEY": TICKET_KEY,
    "REPARTEE_PUBLIC_URL": "https://voice.example.com",
    "REPARTEE_TELEPHONE_NUMBERS": json.dumps(
        {"+15550199": "bank", "+15550188": {"agent": "clinic", "media": "DUB"}}
    ),
}
EACH = pytest.mark.parametrize("carrier", CARRIERS)
WITH_NEXT = pytest.mark.parametrize("carrier", ["twilio", "telnyx", "signalwire", "plivo"])


def settings(**more: str) -> EdgeSettings:
    """An edge's, with all carriers' keys (which may hold spaces in tests)."""
    found = read_settings({**ENV, **more})
    assert found.telephone is not None
    return replace(found, telephone=replace(found.telephone, keys=KEYS))


@pytest.fixture
def router() -> Router:
    return Router(settings())


def sent(webhook: Webhook, colo: str = "SYD") -> EdgeRequest:
    path = webhook.url.removeprefix("https://voice.example.com")
    return EdgeRequest("POST", path, webhook.headers, Caller(colo=colo), "192.0.2.7", webhook.body)


class Kept:
    """What an edge keeps of calls; the shells do the same."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.outcomes: dict[str, LineOutcome] = {}

    def answer(self, request: EdgeRequest, now: float = NOW) -> EdgeReply:
        action = self.router.decide(request, now, 0.0).action
        if isinstance(action, KeepOutcome):
            self.outcomes[action.name] = action.outcome
            return action.reply
        if isinstance(action, AskOutcome):
            return action.answer(self.outcomes.get(action.name))
        assert isinstance(action, EdgeReply)
        return action


def place_in(carrier: str, reply: EdgeReply) -> tuple[str, str]:
    """Where a document has the call streamed to, and what follows."""
    if carrier == "vonage":
        return json.loads(reply.text)[0]["endpoint"][0]["uri"], ""
    if carrier == "exotel":
        return json.loads(reply.text)["url"], ""
    document = ElementTree.fromstring(reply.text)
    stream, follows = document.find(".//Stream"), document.find("Redirect")
    assert stream is not None and follows is not None and follows.text
    return stream.get("url") or str(stream.text), follows.text


def ticket_in(url: str, region: str) -> tickets.Ticket:
    return tickets.verify(tickets.TicketKeys(TICKET_KEY), url.rpartition("/")[2], region=region, now=NOW)


@EACH
def test_an_incoming_call_is_streamed_to_a_region_with_its_ticket_in_the_path(
    router: Router, carrier: str
) -> None:
    reply = Kept(router).answer(sent(signed(carrier), "IAD"))
    url, follows = place_in(carrier, reply)
    assert reply.status == 200 and "?" not in url
    at = "user:password@" if carrier == "exotel" else ""
    assert url.startswith(f"wss://{at}us-east.voice.example.com/v1/telephone/{carrier}/stream/")
    ticket = ticket_in(url, "us-east")
    said = {"phone": "+15550100", "called": "+15550199", "carrier": carrier, "agent": "bank"}
    assert said.items() <= ticket.metadata.items()
    if follows:
        assert follows.startswith(f"https://voice.example.com/v1/telephone/{carrier}/next/0/us-east/")


def test_the_carriers_documents_word_for_word(router: Router) -> None:
    kept = Kept(router)
    twilio = kept.answer(sent(signed("twilio")))
    assert twilio.headers["content-type"] == "text/xml"
    url, follows = place_in("twilio", twilio)
    assert twilio.text == (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Connect>'
        f'<Stream url="{url}" statusCallback="https://voice.example.com/v1/telephone/twilio/status"/></Connect>'
        f'<Redirect method="POST">{follows}</Redirect></Response>'
    )
    telnyx = kept.answer(sent(signed("telnyx"))).text
    assert 'bidirectionalMode="rtp" bidirectionalCodec="PCMU"' in telnyx, "it is one-way without"
    assert 'authBearerToken="' in kept.answer(sent(signed("signalwire"))).text
    plivo = kept.answer(sent(signed("plivo"))).text
    assert 'bidirectional="true" keepCallAlive="true"' in plivo, "the document goes on without"
    vonage = json.loads(kept.answer(sent(signed("vonage"))).text)[0]["endpoint"][0]
    assert vonage["content-type"] == "audio/l16;rate=16000"
    assert vonage["authorization"]["value"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("carrier", "called", "home", "colo", "region"),
    [
        ("twilio", "+15550199", "", "DUB", "us-east"),
        ("twilio", "+15550199", "ie1", "IAD", "eu-west"),
        ("twilio", "+15550188", "", "IAD", "eu-west"),
        ("telnyx", "+15550199", "", "DUB", "eu-west"),
        ("telnyx", "+15550199", "", "IAD", "us-east"),
    ],
)
def test_the_region_is_the_one_nearest_to_where_the_carrier_streams_from(
    router: Router, carrier: str, called: str, home: str, colo: str, region: str
) -> None:
    request = sent(signed(carrier, {**FORM, "To": called}), colo)
    request = replace(request, headers={**request.headers, **({"x-home-region": home} if home else {})})
    assert f"//{region}." in place_in(carrier, Kept(router).answer(request))[0]


def test_the_carriers_place_may_be_set() -> None:
    router = Router(settings(REPARTEE_TELEPHONE_MEDIA="twilio=DUB"))
    assert "//eu-west." in place_in("twilio", Kept(router).answer(sent(signed("twilio"), "IAD")))[0]


@EACH
def test_a_carrier_that_asks_again_hears_the_same_and_another_edge_names_the_same_ticket(
    router: Router, carrier: str
) -> None:
    first = Kept(router).answer(sent(signed(carrier)))
    assert Kept(router).answer(sent(signed(carrier)), NOW + 5) == first
    other = Kept(Router(settings())).answer(sent(signed(carrier)), NOW + 1)
    jtis = (
        {ticket_in(place_in(carrier, reply)[0], "us-east").jti for reply in (first, other)}
        if carrier in ("twilio",)
        else {1}
    )
    assert len(jtis) == 1, "so that a region lets in one stream of both answers"


def test_an_address_for_exotel_has_no_more_than_600_characters() -> None:
    telephone = replace(KEYS, exotel_credentials=f"{'u' * 20}:{'p' * 40}")
    found = settings()
    assert found.telephone is not None
    router = Router(replace(found, telephone=replace(found.telephone, keys=telephone)))
    fields = {"CallSid": "c" * 32, "From": "+919812345678", "To": "+15550199", "CallerName": "n" * 120}
    webhook = signed("exotel", fields)
    basic = base64.b64encode(telephone.exotel_credentials.encode()).decode()
    request = sent(replace(webhook, headers={**webhook.headers, "authorization": f"Basic {basic}"}))
    url, _ = place_in("exotel", Kept(router).answer(request))
    assert len(url) <= 600, len(url)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_number_that_is_nobodys_is_rejected(router: Router, carrier: str) -> None:
    text = Kept(router).answer(sent(signed(carrier, {**FORM, "To": "+15550177"}))).text
    assert "stream" not in text.lower()


def next_of(carrier: str, reply: EdgeReply, fields: Mapping[str, str] = FORM) -> EdgeRequest:
    return sent(signed(carrier, dict(fields), url=place_in(carrier, reply)[1]))


@WITH_NEXT
def test_a_call_whose_region_is_lost_is_streamed_to_another_by_an_agent_that_knows(
    router: Router, carrier: str
) -> None:
    kept = Kept(router)
    first = kept.answer(sent(signed(carrier), "IAD"))
    request = next_of(carrier, first)
    again = kept.answer(request)
    url, _ = place_in(carrier, again)
    assert "//eu-west." in url
    assert ticket_in(url, "eu-west").metadata["resumed"] == "1"
    assert kept.answer(request) == again, "asked twice, answered the same"


def test_a_call_is_streamed_again_three_times_and_then_told_that_nobody_can_take_it(router: Router) -> None:
    kept = Kept(router)
    reply = kept.answer(sent(signed("twilio")))
    for _ in range(3):
        reply = kept.answer(next_of("twilio", reply))
    assert "<Say>We cannot take your call" in kept.answer(next_of("twilio", reply)).text


@WITH_NEXT
@pytest.mark.parametrize(
    ("outcome", "said"),
    [(LineOutcome("hang_up"), "<Hangup/>"), (LineOutcome("transfer", "+1555<&>"), "+1555&lt;&amp;&gt;")],
)
def test_what_the_region_says_is_what_follows(
    router: Router, carrier: str, outcome: LineOutcome, said: str
) -> None:
    kept = Kept(router)
    first = kept.answer(sent(signed(carrier)))
    call_id = FORM["CallSid"]
    told = outcome_request(carrier, call_id, outcome)
    assert kept.answer(told).status == 204
    assert said in kept.answer(next_of(carrier, first)).text


def outcome_request(carrier: str, call_id: str, outcome: LineOutcome, now: float = NOW) -> EdgeRequest:
    keys = tickets.TicketKeys(TICKET_KEY)
    token = sign_outcome(keys, carrier=carrier, call_id=call_id, outcome=outcome, now=now)
    headers = {"authorization": f"Bearer {token}"}
    return EdgeRequest("POST", f"/v1/telephone/{carrier}/outcome", headers, Caller())


def test_an_outcome_is_only_a_regions(router: Router) -> None:
    kept = Kept(router)
    good = outcome_request("twilio", "CA1", LineOutcome("hang_up"))
    for bad in (
        replace(good, headers={}),
        replace(good, headers={"authorization": good.headers["authorization"][:-4] + "AAAA"}),
        replace(good, path="/v1/telephone/telnyx/outcome"),
        outcome_request("twilio", "CA1", LineOutcome("hang_up"), NOW - 31),
    ):
        assert kept.answer(bad).status == 401
    assert kept.outcomes == {}
    assert outcome_from_words({"next": "dance"}) is None and outcome_from_words(None) is None


@EACH
def test_a_status_is_taken_and_a_call_that_is_over_gets_no_stream(router: Router, carrier: str) -> None:
    if carrier == "exotel":
        return
    kept = Kept(router)
    url = f"https://voice.example.com/v1/telephone/{carrier}/status"
    status = {"CallStatus": "completed", "status": "completed"}
    assert kept.answer(sent(signed(carrier, {**FORM, **status}, url=url))).status == 204
    assert list(kept.outcomes.values()) == [LineOutcome("hang_up")]
    over = kept.answer(sent(signed(carrier, {**FORM, **status, "CallSid": "CA9"})))
    assert "stream" not in over.text.lower()


def test_when_no_region_can_take_it_the_caller_is_told(router: Router) -> None:
    router.statuses = {name: RegionStatus(up=False) for name in ("us-east", "eu-west")}
    assert "<Say>We cannot take your call" in Kept(router).answer(sent(signed("twilio"))).text


def test_what_else_the_carrier_says_of_the_caller_is_verified(router: Router) -> None:
    fields = {**FORM, "StirVerstat": "TN-Validation-Passed-A", "SipHeader_X-Customer": "7", "Body": "x"}
    url, _ = place_in("twilio", Kept(router).answer(sent(signed("twilio", fields))))
    metadata = ticket_in(url, "us-east").metadata
    assert metadata["StirVerstat"] == "TN-Validation-Passed-A" and metadata["SipHeader_X-Customer"] == "7"
    assert "Body" not in metadata


def test_the_signed_address_is_the_configured_one_whatever_the_host_says(router: Router) -> None:
    request = sent(signed("twilio"))
    behind = replace(request, headers={**request.headers, "host": "10.0.0.7", "x-forwarded-host": "evil"})
    assert Kept(router).answer(behind).status == 200
    forged = signed("twilio", url="https://evil.example/v1/telephone/twilio/incoming")
    asked = EdgeRequest(
        "POST",
        "/v1/telephone/twilio/incoming",
        {**forged.headers, "host": "evil.example"},
        Caller(),
        "",
        forged.body,
    )
    assert Kept(router).answer(asked).status == 403


KINDS = ("forged", "replayed", "expired", "wrongly addressed")
PER_KIND = 1_250


def forgeries(rng: random.Random, kind: str, number: int) -> tuple[EdgeRequest, str]:
    """A webhook of this kind, and its carrier."""
    carrier = rng.choice(["twilio", "signalwire", "plivo"] if number % 40 else ["telnyx", "vonage"])
    fields = {**FORM, "CallSid": f"CA{number}", "CallUUID": f"CA{number}"}
    good = signed(carrier, fields)
    name = rng.choice([key for key in good.headers if "signature" in key or key == "authorization"])
    match kind:
        case "forged":
            value = good.headers[name]
            at = rng.randrange(len(value) - 3)
            changed = value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1 :]
            return sent(replace(good, headers={**good.headers, name: changed})), carrier
        case "expired":
            carrier = "vonage" if number % 40 else "telnyx"
            return sent(signed(carrier, fields, now=NOW - rng.randrange(301, 10**6))), carrier
        case "wrongly addressed":
            elsewhere = rng.choice(["/status", "/incoming/", "/next/0/us-east/AAAA"])
            url = f"https://voice.example.com/v1/telephone/{carrier}{elsewhere}"
            wrong = signed(carrier, fields, url=url)
            request = sent(replace(wrong, url=f"https://voice.example.com/v1/telephone/{carrier}/incoming"))
            if carrier in (
                "telnyx",
                "vonage",
            ):  # they sign no address: what follows a call carries its own proof
                request = sent(
                    replace(
                        wrong, url=f"https://voice.example.com/v1/telephone/{carrier}/next/0/us-east/AAAA"
                    )
                )
            return request, carrier
    return sent(good), carrier


@pytest.mark.parametrize("kind", KINDS)
def test_of_10_000_forged_replayed_expired_or_wrongly_addressed_none_has_an_effect(
    router: Router, kind: str
) -> None:
    """5,000 webhooks here, 1,250 of each kind; as many handshakes in the region's tests."""
    rng, kept = random.Random(kind), Kept(router)
    accepted: Counter[str] = Counter()
    for number in range(PER_KIND):
        request, _ = forgeries(rng, kind, number)
        if kind != "replayed":
            accepted[kind] += kept.answer(request).status < 400
            continue
        first = kept.answer(request)
        accepted[kind] += kept.answer(request, NOW + rng.randrange(250)) != first
    assert accepted[kind] == 0
    assert kept.outcomes == {}


def test_every_carriers_key_is_a_setting() -> None:
    assert set(KEY_NAMES.values()) == set(KEYS.__dataclass_fields__)


@pytest.mark.parametrize(
    ("carrier", "said"),
    [
        ("twilio", "<Dial><Sip>sip:desk@pbx.example;a=1&amp;2</Sip></Dial>"),
        ("telnyx", "<Dial><Sip>sip:desk@pbx.example;a=1&amp;2</Sip></Dial>"),
        ("signalwire", "<Dial><Sip>sip:desk@pbx.example;a=1&amp;2</Sip></Dial>"),
        ("plivo", "<Dial><User>sip:desk@pbx.example;a=1&amp;2</User></Dial>"),
        ("vonage", '"endpoint":[{"type":"sip","uri":"sip:desk@pbx.example;a=1&2"}]'),
    ],
)
def test_a_caller_is_handed_on_to_a_sip_address_as_the_carrier_has_it(carrier: str, said: str) -> None:
    assert said in (documents.dial(carrier, "sip:desk@pbx.example;a=1&2").text or "")
    assert "+15550111" in (documents.dial(carrier, "+15550111").text or "") or carrier == "vonage"


@pytest.mark.parametrize("carrier", ["twilio", "telnyx", "signalwire", "plivo"])
def test_a_call_that_a_region_has_placed_comes_to_that_region(router: Router, carrier: str) -> None:
    terms = sign_terms(
        tickets.TicketKeys(TICKET_KEY), region="eu-west", agent="survey", metadata={"account": "7"}, now=NOW
    )
    fields = {
        **FORM,
        "From": "+15550199",
        "To": "+15550142",
        "Direction": "outbound",
        "CallStatus": "in-progress",
    }
    url = f"https://voice.example.com/v1/telephone/{carrier}/incoming?terms={terms}"
    request = sent(signed(carrier, fields, url=url), "IAD")
    path, _, query = request.path.partition("?")
    reply = Kept(router).answer(replace(request, path=path, query=query))
    place, follows = place_in(carrier, reply)
    assert f"eu-west.voice.example.com/v1/telephone/{carrier}/stream/" in place and "?terms=" in follows
    said = {
        "phone": "+15550142",
        "called": "+15550199",
        "agent": "survey",
        "account": "7",
        "direction": "outbound",
    }
    assert said.items() <= ticket_in(place, "eu-west").metadata.items()
