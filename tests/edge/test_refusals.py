"""Refused requests in the log: never a line each, and never none."""

import asyncio
import logging.config
from typing import cast

import pytest
from tests.edge.test_front_door import GET, served, statuses
from tests.edge.test_front_door_deadlines import Clock
from uvicorn.config import LOGGING_CONFIG

from repartee_edge.selfhosted.refusals import Refusals


async def test_refused_requests_are_logged_at_once_and_then_as_figures(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.config.dictConfig({**LOGGING_CONFIG, "handlers": {}, "loggers": {"uvicorn": {}}})  # as at a start
    async with served() as running:
        for _ in range(50):
            assert statuses(await running.answer_to(b"\0\r\n\r\n")) == [400]
        assert statuses(await running.answer_to(GET + b"X: " + b"a" * 9000)) == [431]
        upgrade = GET + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n"
        assert statuses(await running.answer_to(*[upgrade])) == [200]
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["a request was refused: malformed_request; counting further ones, with a line every 60 s"]


def test_the_figures_of_refused_requests_are_told_a_minute_later_and_then_it_is_quiet(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    refusals, loop = Refusals(), cast(asyncio.AbstractEventLoop, clock)
    for _ in range(10_000):
        refusals.add("malformed_request", loop)
    refusals.add("request_timeout", loop)
    assert len(caplog.messages) == 1
    clock.pass_time(60.0)
    assert caplog.messages[1:] == [
        "10000 requests were refused in 60 s: malformed_request 9999, request_timeout 1; counting on"
    ]
    clock.pass_time(600.0)
    refusals.add("malformed_request", loop)
    assert len(caplog.messages) == 3, "the next has its line at once again"
