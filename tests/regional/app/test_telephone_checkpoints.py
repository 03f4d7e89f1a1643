"""Reading what was said before must not keep a caller waiting, nor end the call."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from tests.regional.store.fake import FakeStore

from repartee.app import telephone_checkpoints
from repartee.app.telephone_checkpoints import TelephoneCheckpoint
from repartee.errors import StoreError
from repartee.store.call_checkpoints import CALL_CHECKPOINTS
from repartee.turn.earlier import SaidEarlier, packed

SAID = [SaidEarlier("caller", "My name is Anna.", 1.0)]


class Ailing(FakeStore):
    """A store whose reads fail, or take for ever."""

    def __init__(self, fault: Exception | None) -> None:
        super().__init__([CALL_CHECKPOINTS])
        self._fault = fault

    async def read(self, job: Any) -> Any:
        if self._fault:
            raise self._fault
        await asyncio.Event().wait()

    async def erase(self, subject: str) -> Mapping[str, int]:
        return {}


def checkpoint(store: FakeStore) -> TelephoneCheckpoint:
    return TelephoneCheckpoint(store, "twilio:CA1", "+15550100", 1_000)


async def test_what_is_kept_is_recalled_until_it_is_forgotten() -> None:
    one = checkpoint(FakeStore([CALL_CHECKPOINTS]))
    assert await one.recall() == ()
    one.keep(packed(SAID, 1_000))
    assert list(await one.recall()) == SAID
    one.forget()
    assert await one.recall() == ()


@pytest.mark.parametrize("fault", [StoreError("it is away"), None])
async def test_a_store_that_fails_or_is_slow_costs_the_history_and_no_more(
    fault: Exception | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(telephone_checkpoints, "RECALL_S", 0.01)
    assert await checkpoint(Ailing(fault)).recall() == ()
    assert "greeting anew without it" in caplog.text


async def test_what_cannot_be_read_is_nothing() -> None:
    one = checkpoint(FakeStore([CALL_CHECKPOINTS]))
    one.keep("[{]")
    assert await one.recall() == ()
