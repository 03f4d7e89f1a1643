"""Connectivity checks: answered as the RFCs say, and only to whoever knows the password."""

import secrets
import struct

import pytest
from tests.regional.rtc.link import CALLER, CLIENT_ICE, SERVER_ICE, Link

from repartee.rtc import stun
from repartee.rtc.ice import MOST_ADDRESSES, CheckAnswer, IceCredentials, IceLite

NOW = 10.0


def lite(tie_breaker: int = 100, *, consent_s: float = 30.0) -> IceLite:
    return IceLite(SERVER_ICE, CLIENT_ICE.ufrag, tie_breaker=tie_breaker, now=NOW, consent_s=consent_s)


def check(
    *,
    password: str = SERVER_ICE.password,
    names: str = f"{SERVER_ICE.ufrag}:{CLIENT_ICE.ufrag}",
    more: dict[int, bytes] | None = None,
) -> bytes:
    attributes = {stun.USERNAME: names.encode(), stun.PRIORITY: bytes(4), **(more or {})}
    return stun.encode(stun.BINDING_REQUEST, secrets.token_bytes(12), attributes, password.encode())


def receive(ice: IceLite, data: bytes, source: stun.Address = CALLER, now: float = NOW) -> CheckAnswer | None:
    message = stun.parse(data)
    assert message
    return ice.receive(message, source, now)


@pytest.mark.parametrize("source", [CALLER, ("2001:db8::1", 4711)])
def test_a_binding_request_gets_a_signed_answer(source: stun.Address) -> None:
    request = check()
    answered = receive(lite(), request, source)
    assert answered and answered.accepted
    answer = stun.parse(answered.answer)
    assert answer and answer.type == stun.BINDING_SUCCESS
    assert answer.transaction_id == request[8:20]
    assert answer.is_signed_with(SERVER_ICE.password.encode())
    assert answer.mapped_address == source
    assert len(answered.answer) <= len(request), "never more comes back than came"


def test_a_published_message_is_read() -> None:
    """The sample request of RFC 5769, 2.1."""
    request = bytes.fromhex(
        "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74"
        "002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020"
        "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
    )
    message = stun.parse(request)
    assert message and message.username == ("evtj", "h6vY")
    assert message.is_signed_with(b"VOkJxbRl1RmTxUk/WvJxBt")
    assert not message.is_signed_with(b"another")


@pytest.mark.parametrize(
    "data",
    [
        check(password="not-the-password-0000"),
        check(names=f"{SERVER_ICE.ufrag}:somebody"),
        check(names=f"somebody:{CLIENT_ICE.ufrag}"),
        check(names="nocolon"),
        stun.encode(stun.BINDING_REQUEST, bytes(12), {stun.USERNAME: b"worker01:caller01"}),
        stun.encode(stun.BINDING_SUCCESS, bytes(12), {stun.USERNAME: b"worker01:caller01"}, b"x"),
    ],
    ids=["wrong password", "another caller", "another server", "no colon", "unsigned", "no request"],
)
def test_who_does_not_know_the_password_gets_no_answer(data: bytes) -> None:
    ice = lite()
    assert receive(ice, data) is None
    assert ice.address is None and ice.addresses == []


def test_a_changed_byte_is_no_message_or_no_caller() -> None:
    good = check()
    for at in [
        *range(len(good) - 8),
        *range(len(good) - 4, len(good)),
    ]:  # the name of what is not signed is free
        changed = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        message = stun.parse(changed)
        assert message is None or lite().receive(message, CALLER, NOW) is None, at


def test_a_lite_side_sends_no_checks() -> None:
    link = Link().connect()
    sent = [stun.parse(data) for _, data in link.sent_down if data[0] < 4]
    assert sent
    assert {message.type for message in sent if message} == {stun.BINDING_SUCCESS}
    assert "a=ice-lite" in link.answer_text


@pytest.mark.parametrize(
    ("controlling", "own", "theirs", "conflict"),
    [
        (
            False,
            100,
            99,
            False,
        ),  # controlled, and they say so too: the larger tie-breaker becomes controlling
        (False, 100, 100, False),
        (False, 100, 101, True),
        (True, 100, 99, True),  # controlling both: the larger one stays so
        (True, 100, 100, True),
        (True, 100, 101, False),
    ],
)
def test_a_role_conflict_is_settled_by_the_tie_breaker(
    controlling: bool, own: int, theirs: int, conflict: bool
) -> None:
    ice = lite(own)
    ice.controlling = controlling
    role = stun.ICE_CONTROLLING if controlling else stun.ICE_CONTROLLED
    answered = receive(ice, check(more={role: struct.pack("!Q", theirs)}))
    assert answered
    answer = stun.parse(answered.answer)
    assert answer and answer.is_signed_with(SERVER_ICE.password.encode())
    if conflict:
        assert (answer.type, answer.attributes[stun.ERROR_CODE][2:4]) == (stun.BINDING_ERROR, bytes([4, 87]))
        assert ice.controlling is controlling and ice.address is None
    else:
        assert answer.type == stun.BINDING_SUCCESS
        assert ice.controlling is not controlling


def test_the_usual_roles_are_no_conflict() -> None:
    ice = lite()
    answered = receive(ice, check(more={stun.ICE_CONTROLLING: bytes(8)}))
    assert answered and answered.accepted and not ice.controlling


def test_a_named_pair_is_used_and_a_change_of_address_is_followed() -> None:
    ice, mobile = lite(), ("203.0.113.9", 555)
    receive(ice, check(more={stun.USE_CANDIDATE: b""}))
    receive(ice, check(), mobile)
    assert ice.address == CALLER
    receive(ice, check(more={stun.USE_CANDIDATE: b""}), mobile)
    assert ice.address == mobile
    assert set(ice.addresses) == {CALLER, mobile}


def test_addresses_are_bounded_and_the_one_in_use_is_kept() -> None:
    ice = lite()
    receive(ice, check(more={stun.USE_CANDIDATE: b""}))
    for port in range(100):
        receive(ice, check(), ("203.0.113.9", 1000 + port))
    assert len(ice.addresses) == MOST_ADDRESSES
    assert ice.address == CALLER and CALLER in ice.addresses


def test_a_check_that_was_overheard_does_not_move_the_call() -> None:
    ice = lite()
    request = check(more={stun.USE_CANDIDATE: b""})
    assert receive(ice, request) and receive(ice, request), "the caller may send it again"
    assert receive(ice, request, ("203.0.113.66", 666)) is None
    assert ice.addresses == [CALLER]


def test_after_a_restart_the_old_credentials_hold_until_the_new_ones_are_used() -> None:
    ice = lite()
    ice.restart(IceCredentials("worker02", "the-workers-password-0002"), "caller02")
    assert receive(ice, check())
    new = check(names="worker02:caller02", password="the-workers-password-0002")
    assert receive(ice, new)
    assert receive(ice, check()) is None
    assert ice.ufrags == ["worker02"]


def test_consent_lasts_from_check_to_check() -> None:
    ice = lite(consent_s=30.0)
    assert ice.consent_until == NOW + 30.0
    receive(ice, check(), now=NOW + 5)
    assert ice.consent_until == NOW + 35.0
    receive(ice, check(password="not-the-password-0000"), now=NOW + 9)
    assert ice.consent_until == NOW + 35.0, "an unsigned check is no consent"
