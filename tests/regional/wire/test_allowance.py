"""How often something may be done."""

from repartee.wire.allowance import Allowance


def taken(allowance: Allowance, now: float) -> int:
    count = 0
    while allowance.take(now):
        count += 1
    return count


def test_a_burst_and_then_the_rate() -> None:
    allowance = Allowance(500, 10)
    assert taken(allowance, 100.0) == 5000
    assert taken(allowance, 100.5) == 250
    assert taken(allowance, 200.0) == 5000


def test_a_steady_rate_may_go_on_for_ever() -> None:
    allowance = Allowance(500, 10)
    assert all(allowance.take(n / 500) for n in range(20_000))


def test_what_was_refused_costs_nothing() -> None:
    allowance = Allowance(1, 1)
    assert [allowance.take(now) for now in (0.0, 0.5, 0.9, 1.0)] == [True, False, False, True]
