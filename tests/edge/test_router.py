"""The router's decisions: paths, methods, bodies, CORS, what is charged, what is said when nothing is up."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee_edge import tickets
from repartee_edge.failover import RegionFault
from repartee_edge.health import RegionStatus
from repartee_edge.heartbeats import sign_heartbeat
from repartee_edge.placement import Caller
from repartee_edge.replies import EdgeReply
from repartee_edge.request import EdgeRequest, forwarded
from repartee_edge.router import ProxyCall, ProxyPage, ProxySession, Router, StoreReport
from repartee_edge.settings import read_settings

NOW = 1_800_000_000.0
ENV = {
    "REPARTEE_API_KEY": "acme:sk-acme",
    "REPARTEE_TICKET_KEY": "k" * 40,
    "REPARTEE_ALLOWED_ORIGINS": "https://shop.example",
}
AUTH = {"authorization": "Bearer sk-acme"}
UPGRADE = {**AUTH, "upgrade": "WebSocket"}


def request(method: str, path: str, headers: dict[str, str] | None = None, body: Any = b"") -> EdgeRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return EdgeRequest(method, path, headers or {}, Caller(colo="LHR"), "192.0.2.7", data)


@pytest.fixture
def router() -> Router:
    return Router(read_settings(ENV))


def reply(router: Router, *parts: Any) -> EdgeReply:
    action = router.decide(request(*parts), NOW, 0.0).action
    assert isinstance(action, EdgeReply)
    return action


@pytest.mark.parametrize("wish", ["accept", "reject", "refer"])
def test_openais_paths_for_sip_are_refused_in_words(router: Router, wish: str) -> None:
    refused = reply(router, "POST", f"/v1/realtime/calls/rtc_1/{wish}", AUTH)
    assert refused.status == 501 and "no calls come by SIP here" in str(refused.body)


@pytest.mark.parametrize("path", ["/v1/telephone/calls", "/v1/telephone/opt-outs"])
def test_a_call_out_is_placed_by_a_key_at_the_region_nearest_to_the_carrier(
    router: Router, path: str
) -> None:
    decision = router.decide(request("POST", path, AUTH, {"to": "+15550123"}), NOW, 0.0)
    assert isinstance(decision.action, ProxyCall)
    assert decision.action.placement.ranked[0].region.name == "us-east", "Twilio streams from Virginia"
    assert reply(router, "POST", path).status == 401
    assert reply(router, "GET", path, AUTH).status == 405


@pytest.mark.parametrize("path", ["/v1/voice/session", "/v1/realtime"])
def test_an_upgrade_is_a_session_at_the_nearest_region(router: Router, path: str) -> None:
    decision = router.decide(request("GET", path, UPGRADE), NOW, 0.0)
    assert isinstance(decision.action, ProxySession)
    assert [item.region.name for item in decision.action.placement.ranked] == ["eu-west", "us-east"]
    assert decision.charged == ("ip:192.0.2.7", "key:acme")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/voice/session", AUTH, 426),
        ("GET", "/v1/voice/session", {"upgrade": "websocket"}, 401),
        ("PUT", "/v1/voice/session", AUTH, 405),
        ("POST", "/v1/realtime", AUTH, 405),
        ("GET", "/v1/realtime/client_secrets", AUTH, 405),
        ("POST", "/v1/realtime/client_secrets", {}, 401),
        ("GET", "/v1/regions", {}, 401),
        ("GET", "/v1/regions", AUTH, 200),
        ("POST", "/", {}, 405),
        ("GET", "/healthz", {}, 200),
        ("GET", "/readyz", {}, 200),
        ("GET", "/v1/other", AUTH, 404),
        ("GET", "/pages", {}, 404),
        ("GET", "/v1/regions/mars/heartbeat", {}, 405),
        ("POST", "/v1/regions/mars/heartbeat", {}, 404),
        ("POST", "/v1/regions/eu-west/heartbeat", {}, 401),
    ],
)
def test_each_path_and_method_has_its_answer(
    router: Router, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    found = reply(router, method, path, headers)
    assert found.status == status
    if status >= 400:
        assert found.body is not None and set(found.body["error"]) == {"message", "type", "code", "param"}
    if status == 405:
        assert found.headers["allow"]


@pytest.mark.parametrize("path", ["/", "/page/app.js"])
def test_the_page_is_fetched_from_a_region_without_a_key(router: Router, path: str) -> None:
    assert isinstance(router.decide(request("GET", path), NOW, 0.0).action, ProxyPage)


def test_a_client_secret_has_the_shape_that_openai_gives(router: Router) -> None:
    body = {
        "expires_after": {"anchor": "created_at", "seconds": 30},
        "session": {"type": "realtime", "model": "m"},
    }
    found = reply(router, "POST", "/v1/realtime/client_secrets", AUTH, body)
    assert found.body is not None and found.status == 200
    assert found.body["expires_at"] == NOW + 30 and found.body["session"]["model"] == "m"
    secret = {"authorization": f"Bearer {found.body['value']}"}
    assert reply(router, "POST", "/v1/realtime/client_secrets", secret).status == 403
    action = router.decide(
        request("GET", "/v1/realtime", {**secret, "upgrade": "websocket"}), NOW, 0.0
    ).action
    assert isinstance(action, ProxySession) and action.identity.session == body["session"]
    region = action.placement.ranked[0].region
    token = router.ticket(region, action.identity, NOW)
    assert (
        tickets.verify(router.settings.ticket_keys, token, region="eu-west", now=NOW).session
        == body["session"]
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "it is not JSON"),
        (b'{"session": ' + b"[" * 8000, "nested deeper than 64 levels"),
        ([], "JSON object"),
        ({"metadata": {"a": 1}}, "metadata must map"),
        ({"metadata": {"a": "x" * 600}}, "metadata must map"),
        ({"session": "x"}, "session must be an object"),
        ({"session": {"instructions": "x" * 3000}}, "session must be shorter"),
        ({"expires_after": {"seconds": 5}}, "10 to 7200"),
        ({"origin": "shop.example"}, "origin must be"),
        (b"{" + b" " * 20_000, "larger than"),
    ],
)
def test_a_wrong_body_is_a_400_that_says_what_to_send(router: Router, body: Any, words: str) -> None:
    found = reply(router, "POST", "/v1/realtime/client_secrets", AUTH, body)
    assert found.status == 400 and found.body is not None and words in found.body["error"]["message"]


def test_a_browser_page_may_read_answers_only_from_a_listed_origin(router: Router) -> None:
    ours, other = {"origin": "https://shop.example"}, {"origin": "https://evil.example"}
    allowed = reply(router, "OPTIONS", "/v1/realtime/client_secrets", ours)
    assert allowed.status == 204 and allowed.headers["access-control-allow-origin"] == "https://shop.example"
    assert "authorization" in allowed.headers["access-control-allow-headers"]
    assert reply(router, "OPTIONS", "/v1/realtime/client_secrets", other).headers == {}
    assert "access-control-allow-origin" in reply(router, "GET", "/v1/regions", {**AUTH, **ours}).headers
    assert "access-control-allow-origin" not in reply(router, "GET", "/v1/regions", {**AUTH, **other}).headers


def test_direct_connection_needs_a_region_that_takes_calls(router: Router) -> None:
    found = reply(router, "POST", "/v1/voice/session", AUTH)
    assert found.body is not None and found.body["url"] == "wss://eu-west.voice.example.com/v1/voice/session"
    router.statuses = {"eu-west": RegionStatus(load=1.2), "us-east": RegionStatus(draining=True)}
    refused = reply(router, "POST", "/v1/voice/session", AUTH)
    assert refused.status == 503 and refused.headers["retry-after"] == "3" and refused.body is not None
    assert "eu-west is full; us-east takes no new calls" in refused.body["error"]["message"]


def test_what_failed_before_is_tried_last_and_listed_as_down(router: Router) -> None:
    router.breaker.failed("eu-west", 0.0)
    action = router.decide(request("GET", "/v1/realtime", UPGRADE), NOW, 1.0).action
    assert isinstance(action, ProxySession)
    assert [item.region.name for item in action.placement.ranked] == ["us-east", "eu-west"]
    listed = router.decide(request("GET", "/v1/regions", AUTH), NOW, 1.0).action
    assert isinstance(listed, EdgeReply) and listed.body is not None
    assert {entry["region"]: entry["up"] for entry in listed.body["regions"]} == {
        "us-east": True,
        "eu-west": False,
    }
    router.breaker.failed("us-east", 1.0)
    assert router.decide(request("GET", "/readyz"), NOW, 1.5).action == EdgeReply(
        503, {"status": "no region takes calls", "regions_up": []}
    )


def test_a_heartbeat_is_stored_under_its_workers_name(router: Router) -> None:
    token = sign_heartbeat(
        router.settings.ticket_keys,
        region="eu-west",
        instance="t1",
        active=1,
        capacity=2,
        draining=True,
        now=NOW,
    )
    headers = {"authorization": f"Bearer {token}"}
    action = router.decide(request("POST", "/v1/regions/eu-west/heartbeat", headers), NOW, 0.0).action
    assert isinstance(action, StoreReport) and action.instance == "t1" and action.report.draining
    assert reply(router, "POST", "/v1/regions/us-east/heartbeat", headers).status == 401


def test_no_region_says_why_in_words_and_in_fields(router: Router) -> None:
    action = router.decide(request("GET", "/v1/realtime", UPGRADE), NOW, 0.0).action
    assert isinstance(action, ProxySession)
    faults = (RegionFault("eu-west", "status", 503, 9.0), RegionFault("us-east", "timeout"))
    found = router.no_region(action.placement, faults, 9)
    assert found.status == 503 and found.headers["retry-after"] == "9" and found.body is not None
    assert "eu-west answered 503; us-east did not answer in time" in found.body["error"]["message"]
    assert [entry["region"] for entry in found.body["regions"]] == ["eu-west", "us-east"]


def test_only_the_clients_own_harmless_headers_go_on() -> None:
    sent = [
        ("Host", "edge.example"),
        ("Sec-WebSocket-Key", "abc"),
        ("Upgrade", "websocket"),
        ("User-Agent", "x"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=1.2.3.4"),
        ("CF-Connecting-IP", "1.2.3.4"),
        ("X-Repartee-Ticket", "forged"),
        ("Sec-WebSocket-Protocol", "openai-insecure-api-key.sk-x, realtime"),
        ("Authorization", "Bearer sk-x"),
        ("Cookie", "a=b"),
    ]
    assert forwarded(sent) == [
        ("sec-websocket-key", "abc"),
        ("upgrade", "websocket"),
        ("user-agent", "x"),
        ("sec-websocket-protocol", "realtime"),
    ]


@given(
    st.sampled_from(["GET", "POST", "OPTIONS", "HEAD", "BREW", ""]),
    st.one_of(st.text(max_size=30), st.sampled_from(["/v1/voice/session", "/v1/regions/x/heartbeat"])),
    st.dictionaries(
        st.sampled_from(["authorization", "upgrade", "origin", "sec-websocket-protocol"]), st.text()
    ),
    st.binary(max_size=60),
)
def test_a_decision_never_raises(method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    decision = ROUTER.decide(request(method, path, headers, body), NOW, 0.0)
    if isinstance(decision.action, EdgeReply):
        assert decision.action.status in range(200, 600) and isinstance(decision.action.content(), bytes)


ROUTER = Router(read_settings(ENV))


CALL = "rtc_us-east_" + "0" * 36


@pytest.mark.parametrize("path", ["/v1/realtime/calls", "/v1/realtime/whip"])
def test_a_webrtc_call_begins_at_the_nearest_region(router: Router, path: str) -> None:
    decision = router.decide(request("POST", path, AUTH, b"v=0"), NOW, 0.0)
    assert isinstance(decision.action, ProxyCall) and decision.action.begins
    assert [item.region.name for item in decision.action.placement.ranked] == ["eu-west", "us-east"]
    assert decision.charged == ("ip:192.0.2.7", "key:acme")
    assert reply(router, "POST", path).status == 401
    assert reply(router, "GET", path, AUTH).status == 405


def test_turn_servers_are_asked_of_the_nearest_region(router: Router) -> None:
    path = "/v1/realtime/ice_servers"
    for method in ("GET", "POST"):
        action = router.decide(request(method, path, AUTH), NOW, 0.0).action
        assert isinstance(action, ProxyCall) and not action.begins
        assert [item.region.name for item in action.placement.ranked] == ["eu-west", "us-east"]
    assert reply(router, "GET", path).status == 401
    assert reply(router, "DELETE", path, AUTH).status == 405


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/v1/realtime/calls/{CALL}/hangup"),
        ("DELETE", f"/v1/realtime/whip/{CALL}"),
        ("PATCH", f"/v1/realtime/whip/{CALL}"),
    ],
)
def test_what_belongs_to_a_webrtc_call_goes_to_the_region_in_its_name(
    router: Router, method: str, path: str
) -> None:
    action = router.decide(request(method, path, AUTH), NOW, 0.0).action
    assert isinstance(action, ProxyCall) and not action.begins
    assert [item.region.name for item in action.placement.ranked] == ["us-east"]
    assert reply(router, method, path.replace("us-east", "mars"), AUTH).status == 404
    assert reply(router, method, path).status == 401
