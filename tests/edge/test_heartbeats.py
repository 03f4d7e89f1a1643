"""Heartbeats: what a region's worker may say, and that nobody else can say it."""

import pytest

from repartee_edge import tickets
from repartee_edge.heartbeats import sign_heartbeat, verify_heartbeat
from repartee_edge.tickets import TicketError, TicketForged, TicketKeys, TicketMalformed

KEYS = TicketKeys("k" * 40)
NOW = 1_800_000_000.0


def beat(keys: TicketKeys = KEYS, region: str = "eu-west") -> str:
    return sign_heartbeat(
        keys, region=region, instance="task-1", active=3, capacity=50, draining=False, now=NOW, p90_ms=480.5
    )


def test_a_heartbeat_carries_load_and_latency() -> None:
    instance, report = verify_heartbeat(KEYS, beat(), region="eu-west", now=NOW + 5)
    assert instance == "task-1"
    assert (report.active, report.capacity, report.draining, report.p90_ms) == (3, 50, False, 480.5)


@pytest.mark.parametrize("now", [NOW + 31, NOW - 31])
def test_an_old_one_can_not_be_sent_again(now: float) -> None:
    with pytest.raises(TicketForged):
        verify_heartbeat(KEYS, beat(), region="eu-west", now=now)


def test_another_regions_another_keys_and_a_ticket_are_refused() -> None:
    ticket = tickets.sign(KEYS, region="eu-west", subject="acme", now=NOW)
    for token in (beat(region="us-east"), beat(TicketKeys("x" * 40)), ticket):
        with pytest.raises(TicketForged):
            verify_heartbeat(KEYS, token, region="eu-west", now=NOW)
    with pytest.raises(TicketMalformed):
        verify_heartbeat(KEYS, "nonsense", region="eu-west", now=NOW)
    with pytest.raises(TicketError):
        tickets.verify(KEYS, beat(), region="eu-west", now=NOW)
