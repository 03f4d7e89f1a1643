"""Who is let in at the edge, and by what."""

import pytest

from repartee_edge.credentials import ApiKeys, Unauthorised, identify, parse_api_keys
from repartee_edge.tickets import TicketKeys, sign_client_secret

KEYS = ApiKeys([("acme", "sk-acme"), ("shop", "sk-shop")])
TICKETS = TicketKeys("k" * 40)
NOW = 1_800_000_000.0


def who(now: float = NOW, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return identify(named, KEYS, TICKETS, now).subject


def test_an_api_key_comes_as_a_header_or_as_a_subprotocol() -> None:
    assert who(authorization="Bearer sk-shop") == "shop"
    assert who(authorization="bearer  sk-acme ") == "acme"
    assert who(sec_websocket_protocol="realtime, openai-insecure-api-key.sk-acme") == "acme"


def test_a_client_secret_stands_for_the_key_that_made_it_until_it_expires() -> None:
    secret = sign_client_secret(TICKETS, subject="acme", now=NOW, ttl_s=60, origin="https://shop.example")
    protocol = f"realtime, openai-insecure-api-key.{secret}"
    assert who(sec_websocket_protocol=protocol, origin="https://shop.example") == "acme"
    for now, origin, words in (
        (NOW + 60, "https://shop.example", "expired"),
        (NOW, "https://x.example", "origin"),
    ):
        with pytest.raises(Unauthorised, match=words) as refused:
            who(now, sec_websocket_protocol=protocol, origin=origin)
        assert secret not in str(refused.value)


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer sk", "Basic sk-acme", "Bearer ek_x.y.z", "Bearer sk-acmé"]
)
def test_anything_else_is_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(Unauthorised) as refused:
        who(authorization=value)
    assert "acm" not in str(refused.value)


def test_keys_are_read_with_ids_or_get_one_that_gives_nothing_away() -> None:
    pairs, faults = parse_api_keys("acme:sk-one, sk-two ,")
    assert faults == [] and pairs[0] == ("acme", "sk-one")
    assert pairs[1][1] == "sk-two" and pairs[1][0].startswith("key-") and "two" not in pairs[1][0]
    assert "sk-one" not in repr(ApiKeys(pairs))


def test_wrong_keys_are_named_by_number_and_not_by_value() -> None:
    _, faults = parse_api_keys("acme:x,acme:sk-one,acme:sk-two,with space")
    assert len(faults) == 3 and not any("space" in f and "with" in f and "with space" in f for f in faults)
    assert "number 1" in faults[0] and "number 4" in faults[1] and "more than one key" in faults[2]
