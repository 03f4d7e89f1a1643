"""Tickets and client secrets: what is let in, and that nothing else is."""

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee_edge.tickets import (
    CLIENT_AUDIENCE,
    SeenTickets,
    TicketError,
    TicketExpired,
    TicketForged,
    TicketKeys,
    TicketMalformed,
    TicketReplayed,
    TicketWrongRegion,
    key_id,
    sign,
    sign_client_secret,
    verify,
    verify_client_secret,
)

OLD, NEW, OTHER = "old-key-" * 8, "new-key-" * 8, "stranger" * 8
KEYS = TicketKeys(NEW)
NOW = 1_800_000_000.0


def ticket(keys: TicketKeys = KEYS, **changes: object) -> str:
    given = {"region": "eu-west", "subject": "acme", "now": NOW, **changes}
    return sign(keys, **given)  # type: ignore[arg-type]


def test_a_ticket_names_one_region_and_says_who_it_is_for() -> None:
    token = ticket(origin="https://shop.example", metadata={"plan": "gold"}, session={"voice": "ann"})
    found = verify(KEYS, token, region="eu-west", now=NOW + 59.9)
    assert (found.region, found.subject, found.origin) == ("eu-west", "acme", "https://shop.example")
    assert (found.metadata, found.session) == ({"plan": "gold"}, {"voice": "ann"})
    assert (found.issued_at, found.expires_at) == (NOW, NOW + 60)
    with pytest.raises(TicketWrongRegion):
        verify(KEYS, token, region="us-east", now=NOW)


def test_a_ticket_ages_out_in_a_minute_and_none_comes_from_the_future() -> None:
    with pytest.raises(TicketExpired):
        verify(KEYS, ticket(), region="eu-west", now=NOW + 60)
    verify(KEYS, ticket(now=NOW + 4), region="eu-west", now=NOW)
    with pytest.raises(TicketForged):
        verify(KEYS, ticket(now=NOW + 30), region="eu-west", now=NOW)


def test_keys_rotate_with_two_valid_at_a_time() -> None:
    signed_before = ticket(TicketKeys(OLD))
    for keys, works in (
        (TicketKeys(NEW, OLD), True),
        (TicketKeys(NEW), False),
        (TicketKeys(OTHER, NEW), False),
    ):
        if works:
            assert verify(keys, signed_before, region="eu-west", now=NOW).subject == "acme"
        else:
            with pytest.raises(TicketForged):
                verify(keys, signed_before, region="eu-west", now=NOW)


def test_what_was_not_signed_by_our_key_is_forged_however_it_is_dressed_up() -> None:
    claims = jwt.decode(ticket(), options={"verify_signature": False})
    kid = {"kid": key_id(NEW)}
    forged = [
        ticket(TicketKeys(OTHER)),
        jwt.encode(claims, OTHER, algorithm="HS256", headers=kid),
        jwt.encode(claims, NEW, algorithm="HS512", headers=kid),
        jwt.encode(claims, "", algorithm="none", headers=kid),
        jwt.encode(claims, NEW, algorithm="HS256"),
    ]
    for token in forged:
        with pytest.raises(TicketForged):
            verify(KEYS, token, region="eu-west", now=NOW)
    head, _, signature = ticket().split(".")
    other = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "admin"}).encode()).rstrip(b"=").decode()
    with pytest.raises(TicketForged):
        verify(KEYS, f"{head}.{other}.{signature}", region="eu-west", now=NOW)


@pytest.mark.parametrize("missing", ["sub", "jti", "iat", "exp", "aud", "iss"])
def test_a_signed_token_that_lacks_a_claim_is_malformed(missing: str) -> None:
    claims = jwt.decode(ticket(), options={"verify_signature": False})
    del claims[missing]
    token = jwt.encode(claims, NEW, algorithm="HS256", headers={"kid": key_id(NEW)})
    with pytest.raises((TicketMalformed, TicketWrongRegion)):
        verify(KEYS, token, region="eu-west", now=NOW)


@given(st.one_of(st.text(max_size=60), st.just("a.b.c"), st.just("." * 9000)))
def test_nonsense_is_refused_with_a_ticket_error(token: str) -> None:
    with pytest.raises(TicketError):
        verify(KEYS, token, region="eu-west", now=NOW)


def test_a_ticket_is_used_once_and_forgotten_when_it_has_expired() -> None:
    seen = SeenTickets()
    first = verify(KEYS, ticket(), region="eu-west", now=NOW)
    second = verify(KEYS, ticket(), region="eu-west", now=NOW)
    seen.use(first, NOW)
    seen.use(second, NOW + 1)
    with pytest.raises(TicketReplayed):
        seen.use(first, NOW + 59)
    assert len(seen) == 2
    later = verify(KEYS, ticket(now=NOW + 61), region="eu-west", now=NOW + 61)
    seen.use(later, NOW + 61)
    assert len(seen) == 1


def test_what_is_remembered_is_bounded_and_a_full_memory_lets_nothing_in() -> None:
    seen = SeenTickets(limit=2)
    for _ in range(2):
        seen.use(verify(KEYS, ticket(), region="eu-west", now=NOW), NOW)
    with pytest.raises(TicketReplayed):
        seen.use(verify(KEYS, ticket(), region="eu-west", now=NOW), NOW)
    assert len(seen) == 2


def test_a_client_secret_is_bound_to_its_origin_and_is_no_ticket() -> None:
    secret = sign_client_secret(KEYS, subject="acme", now=NOW, origin="https://shop.example")
    assert secret.startswith("ek_")
    assert verify_client_secret(KEYS, secret, origin="https://shop.example", now=NOW + 599).subject == "acme"
    for origin in (None, "https://evil.example"):
        with pytest.raises(TicketForged):
            verify_client_secret(KEYS, secret, origin=origin, now=NOW)
    with pytest.raises(TicketExpired):
        verify_client_secret(KEYS, secret, origin="https://shop.example", now=NOW + 600)
    with pytest.raises(TicketWrongRegion):
        verify(KEYS, secret.removeprefix("ek_"), region="eu-west", now=NOW)
    with pytest.raises(TicketWrongRegion):
        verify_client_secret(KEYS, "ek_" + ticket(), origin=None, now=NOW)
    assert ":" in CLIENT_AUDIENCE, "no region's name can be this"


def test_no_key_shows_in_a_repr_or_an_error() -> None:
    assert NEW not in repr(KEYS) and OLD not in repr(TicketKeys(NEW, OLD))
    with pytest.raises(ValueError, match="32 bytes") as refused:
        TicketKeys("short-secret")
    assert "short-secret" not in str(refused.value)
