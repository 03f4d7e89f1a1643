"""The metric of a pool's age: it says the oldest, and is the oldest's."""

from dataclasses import dataclass

from prometheus_client import generate_latest
from tests.regional.telemetry.samples import PROVIDERS

from repartee.app.processes.shared_metrics import NOT_ADDED
from repartee.latency.hedging import HedgePolicy
from repartee.pool.figures import PoolFigures
from repartee.pool.policy import PoolPolicy
from repartee.pool.settings import PoolSettings
from repartee.telemetry.prometheus import Metrics

METRIC = "repartee_pool_oldest_age_seconds"


def two_ages() -> PoolPolicy:
    """A pool with a connection of 0 s and one of 30 s."""
    policy = PoolPolicy(PoolSettings(spare=2, max_age_s=300, young_s=0.0))
    assert policy.plan(0.0).dial == 2
    policy.opened(0.0, 0.0)
    policy.opened(30.0, 0.0)
    return policy


@dataclass
class OnePool:
    """What the metrics read, of one pool."""

    age_s: float
    admitting: bool = True
    hedging: tuple[HedgePolicy, ...] = (HedgePolicy(),)

    def breakers(self) -> tuple[()]:
        return ()

    def pools(self) -> tuple[PoolFigures, ...]:
        return (
            PoolFigures(
                name="deepgram",
                warm=True,
                idle=2,
                leased=0,
                dialling=0,
                waiting=0,
                hits=0,
                misses=0,
                dials=2,
                dial_failures=0,
                lost=0,
                wait_ms=0.0,
                wait_ms_max=0.0,
                oldest_s=self.age_s,
                last_error=None,
            ),
        )


def test_of_two_ages_it_is_the_oldest_s_and_its_name_and_help_say_so() -> None:
    policy = two_ages()
    oldest, youngest, mean = 40.0, 10.0, 25.0
    assert policy.oldest_age_s(40.0) == oldest
    metrics = Metrics(PROVIDERS)
    metrics.watch(OnePool(policy.oldest_age_s(40.0)))
    lines = generate_latest(metrics.registry).decode().splitlines()
    assert f'{METRIC}{{provider="deepgram"}} {oldest}' in lines
    assert f"# HELP {METRIC} Age of the oldest open connection." in lines
    assert not [line for line in lines if "_age_" in line and METRIC not in line], "there is no other age"
    assert not [line for line in lines if METRIC in line and line.endswith((f" {youngest}", f" {mean}"))]


def test_once_the_oldest_is_closed_it_is_the_next_ones() -> None:
    policy = two_ages()
    oldest = policy.keys()[0]
    policy.lost(oldest, 41.0, 0.0, agreed=True)
    assert policy.oldest_age_s(41.0) == 11.0
    policy.lost(policy.keys()[0], 42.0, 0.0, agreed=True)
    assert policy.oldest_age_s(42.0) == 0.0


def test_of_several_processes_it_is_the_oldest_of_all() -> None:
    """Ages have no sum: the highest is taken."""
    assert METRIC.endswith(NOT_ADDED)
