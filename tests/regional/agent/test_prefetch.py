"""What is kept of results fetched on a guess, and what that is worth."""

from repartee.agent.prefetch import PrefetchCache, PrefetchFigures, PrefetchPolicy

BALANCE = ("get_balance", '{"account":"checking"}')
SAVINGS = ("get_balance", '{"account":"savings"}')


def fetched(cache: PrefetchCache[str], key: tuple[str, str], now: float) -> None:
    assert cache.reserve(key, now)
    cache.finish(key, f"result {now:g}", now)


def test_a_result_is_kept_30_s_for_the_same_tool_and_arguments() -> None:
    cache: PrefetchCache[str] = PrefetchCache(PrefetchPolicy())
    assert cache.reserve(BALANCE, 0.0)
    assert cache.take(BALANCE, 0.5) is None
    cache.finish(BALANCE, "1240", 0.8)
    assert cache.take(SAVINGS, 1.0) is None
    assert cache.take(BALANCE, 1.0) == "1240"
    assert cache.take(BALANCE, 30.7) == "1240"
    assert cache.take(BALANCE, 30.9) is None
    assert cache.close() == PrefetchFigures(started=1, hits=2, saved_ms=1600.0)


def test_the_same_is_not_fetched_twice_while_it_is_known() -> None:
    cache: PrefetchCache[str] = PrefetchCache(PrefetchPolicy())
    assert cache.reserve(BALANCE, 0.0)
    assert not cache.reserve(BALANCE, 1.0)
    cache.finish(BALANCE, "1240", 1.0)
    assert not cache.reserve(BALANCE, 30.9)
    assert cache.reserve(BALANCE, 31.0)


def test_what_failed_is_not_tried_again_at_once() -> None:
    cache: PrefetchCache[str] = PrefetchCache(PrefetchPolicy())
    assert cache.reserve(BALANCE, 0.0)
    cache.finish(BALANCE, None, 2.0)
    assert cache.take(BALANCE, 3.0) is None
    assert not cache.reserve(BALANCE, 3.0)
    assert cache.reserve(BALANCE, 32.0)
    assert cache.figures == PrefetchFigures(started=2, failed=1)


def test_joining_one_that_runs_saves_what_it_has_run() -> None:
    cache: PrefetchCache[str] = PrefetchCache(PrefetchPolicy())
    cache.reserve(BALANCE, 0.0)
    cache.join(BALANCE, 0.25)
    cache.finish(BALANCE, "1240", 0.8)
    assert cache.close() == PrefetchFigures(started=1, hits=1, saved_ms=250.0)


def test_a_change_makes_everything_known_void() -> None:
    cache: PrefetchCache[str] = PrefetchCache(PrefetchPolicy())
    fetched(cache, BALANCE, 0.0)
    cache.reserve(SAVINGS, 0.0)
    cache.invalidate()
    cache.finish(SAVINGS, "old", 1.0)
    assert cache.take(BALANCE, 1.0) is None
    assert cache.take(SAVINGS, 1.0) is None
    assert cache.figures.wasted == 2


def test_budgets_of_a_call() -> None:
    cache: PrefetchCache[str] = PrefetchCache(PrefetchPolicy(per_call=3, at_once=2))
    keys = [("look", str(index)) for index in range(5)]
    assert [cache.reserve(key, 0.0) for key in keys[:3]] == [True, True, False]
    cache.abandon(keys[0])
    assert cache.reserve(keys[2], 0.0)
    cache.finish(keys[1], "x", 0.1)
    assert cache.reserve(keys[3], 0.2)
    cache.finish(keys[2], "x", 0.3)
    assert not cache.reserve(keys[4], 0.4)
    assert cache.figures.started == 3
    assert not PrefetchCache[str](PrefetchPolicy(per_call=0)).reserve(BALANCE, 0.0)


def test_a_tool_whose_predictions_are_always_wrong_is_given_up() -> None:
    cache: PrefetchCache[str] = PrefetchCache(PrefetchPolicy(give_up_after=2))
    for index in range(2):
        fetched(cache, ("look", str(index)), index * 40.0)
    assert not cache.reserve(("look", "3"), 120.0)
    assert cache.reserve(BALANCE, 120.0)
    assert cache.figures.wasted == 2


def test_a_hit_clears_the_count_of_wrong_predictions() -> None:
    cache: PrefetchCache[str] = PrefetchCache(PrefetchPolicy(give_up_after=2))
    fetched(cache, ("look", "1"), 0.0)
    fetched(cache, ("look", "2"), 40.0)
    assert cache.take(("look", "2"), 41.0)
    fetched(cache, ("look", "3"), 100.0)
    assert cache.reserve(("look", "4"), 140.0)


def test_nothing_begins_after_the_call() -> None:
    cache: PrefetchCache[str] = PrefetchCache(PrefetchPolicy())
    cache.reserve(BALANCE, 0.0)
    assert cache.close().wasted == 1
    assert not cache.reserve(SAVINGS, 1.0)
    assert repr(cache) == "<PrefetchCache: empty>"


def test_figures_add_up() -> None:
    total = PrefetchFigures(started=1, hits=1, saved_ms=5.0)
    total.add(PrefetchFigures(started=2, misses=3, wasted=1, failed=1, saved_ms=2.5))
    assert total == PrefetchFigures(started=3, hits=1, misses=3, wasted=1, failed=1, saved_ms=7.5)
