"""Strangers who flood a worker's media port do not make the calls beside them late."""

import uvloop
from tests.free_ports import free_port
from tests.promptness import measured
from tests.regional.rtc.flood import MOST_MORE_MS, measure
from tests.regional.rtc.hostile import FIRST_BYTES


def test_the_calls_beside_a_flood_are_answered_in_time_and_strangers_get_nothing() -> None:
    machine = measured()
    told = uvloop.run(measure(calls=2, turns=3, datagrams=60_000, port=free_port(2)))
    assert set(FIRST_BYTES) <= set(told["datagrams"]) and told["sent"] > 50_000
    assert told["bytes_out"] == 0, "nothing is said to a stranger"
    for run in ("without", "with"):
        assert told[run]["faults"] == [], told[run]
        machine.promise(not told[run]["unanswered"], f"{run} the flood: {told[run]['unanswered']} unanswered")
    more_ms = told["p99_more_ms"]
    machine.promise(more_ms <= MOST_MORE_MS, f"P99 grew by {more_ms} ms beside the flood")
