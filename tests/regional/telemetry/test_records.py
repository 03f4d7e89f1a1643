"""The record of a call, from the stream of its events to the store."""

import json
from typing import Any

import pytest
from tests.regional.store.fake import FakeStore
from tests.regional.telemetry.samples import PROVIDERS, call_ended, turn_over

from repartee.store.call_records import CALL_ENTRIES, CALLS, ending
from repartee.store.schema import Row
from repartee.telemetry import events as t
from repartee.telemetry.prices import read_prices
from repartee.telemetry.records import CallRecords
from repartee.telemetry.redaction import redaction_of

SHARED: Any = {"call_id": "call", "at_s": 1_000.0, "region": "here", "agent": "desk:agent"}
BEGAN = t.CallBegan(
    **SHARED, providers=PROVIDERS, caller="+15550100", transport="telephone", version="abc123"
)


def tool(words: t.ToolWords | None = None) -> t.ToolRan:
    return t.ToolRan(
        **SHARED,
        turn_id=1,
        tool="lookup",
        ok=True,
        prefetch="hit",
        waited_ms=3.0,
        saved_ms=200.0,
        words=words,
    )


def said(text: str, *, who: Any = "caller", item_id: str = "q", interrupted: bool = False) -> t.WordsSaid:
    return t.WordsSaid(
        **SHARED,
        item_id=item_id,
        turn_id=1,
        who=who,
        text=text,
        said_at_s=1_001.0,
        interrupted=interrupted,
    )


class Kept:
    """Records over a store in memory."""

    def __init__(self, redact: str = "") -> None:
        self.store = FakeStore([CALLS, CALL_ENTRIES])
        self.now = 1_000.0
        self.records = CallRecords(self.store, redaction_of(redact), clock=lambda: self.now)

    def take(self, *events: t.CallEvent) -> None:
        for event in events:
            self.records.export(event)

    async def call(self) -> Row:
        [row] = await self.store.read(lambda reading: reading.rows(CALLS))
        return row

    async def entries(self) -> list[dict[str, Any]]:
        rows = await self.store.read(lambda reading: reading.rows(CALL_ENTRIES))
        return [{"kind": row["kind"], **json.loads(str(row["body"]))} for row in rows]


async def test_what_the_client_added_to_a_turn_stands_beside_it() -> None:
    kept = Kept()
    heard = t.AnswerHeard(**SHARED, turn_id=1, capture_ms=25.0, network_ms=80.5, playback_ms=40.0)
    kept.take(BEGAN, heard, turn_over("answered", 400.0), call_ended())
    entries = {entry["kind"]: entry for entry in await kept.entries()}
    assert entries["heard"] == {"kind": "heard", "capture_ms": 25.0, "network_ms": 80.5, "playback_ms": 40.0}
    assert (await kept.call())["turns"] == 1


async def test_a_call_leaves_one_record_with_who_where_and_how_it_ended() -> None:
    kept = Kept()
    kept.take(BEGAN, turn_over("answered", 400.0), turn_over("unanswered", turn_id=2), call_ended("too_long"))
    call = await kept.call()
    expected = {
        "call_id": "call",
        "agent": "desk:agent",
        "version": "abc123",
        "caller": "+15550100",
        "transport": "telephone",
        "region": "here",
        "started_at": 1_000.0,
        "ended": "too_long",
        "seconds": 60.0,
        "turns": 2,
        "unanswered": 1,
        "interruptions": 0,
    }
    assert {name: call[name] for name in expected} == expected
    details = json.loads(str(call["details"]))
    assert details["vendors"] == PROVIDERS
    assert details["prefetch"]["hits"] == 1


async def test_each_turn_has_its_stages_its_vendors_and_its_kind() -> None:
    kept = Kept()
    kept.take(BEGAN, turn_over("answered", 400.0, first=True))
    [turn] = await kept.entries()
    expected = {
        "voice_to_voice_ms": 400.0,
        "stages_ms": {"llm": 400.0},
        "providers": PROVIDERS,
        "first": True,
    }
    assert {name: turn[name] for name in expected} == expected


async def test_what_is_finished_is_written_before_the_call_is_over() -> None:
    kept = Kept()
    kept.take(BEGAN, turn_over("answered", 400.0), said("Hello?"))
    assert len(await kept.entries()) == 2
    call = await kept.call()
    assert (call["turns"], call["ended"]) == (1, None)


async def test_tools_interruptions_and_faults_are_placed_and_counted() -> None:
    kept = Kept()
    failed = t.ProviderFailed(**SHARED, stage="llm", provider="l", message="It said: my name is Anna.")
    cut = t.Interrupted(**SHARED, turn_id=1, heard_ms=120.0)
    fault = t.AuthorFault(**SHARED, what="tool lookup", error="KeyError", place="bank.py:12")
    kept.take(BEGAN, tool(), tool(), cut, failed, fault, call_ended())
    entries = await kept.entries()
    assert [entry["kind"] for entry in entries if entry["kind"] == "tool"] == ["tool", "tool"]
    assert {"kind": "interruption", "heard_ms": 120.0} in entries
    assert {"kind": "provider_failed", "stage": "llm", "vendor": "l"} in entries, (
        "no message: it may hold words"
    )
    assert any(entry.get("place") == "bank.py:12" for entry in entries)
    call = await kept.call()
    assert (call["interruptions"], call["faults"]) == (1, 2)


async def test_words_are_kept_as_they_were_heard_and_redacted() -> None:
    kept = Kept("email")
    arguments = t.ToolWords('{"to": "a@b.example"}', '{"sent": true}')
    kept.take(
        BEGAN,
        said("I am a@b.example"),
        tool(arguments),
        said("It is forty, and the rent", who="agent", item_id="a"),
        said("It is forty,", who="agent", item_id="a", interrupted=True),
    )
    entries = {(entry["kind"], entry.get("who")): entry for entry in await kept.entries()}
    assert entries["said", "caller"]["text"] == "I am [email]"
    assert entries["said", "agent"] == {
        "kind": "said",
        "who": "agent",
        "text": "It is forty,",
        "interrupted": True,
    }
    assert entries["tool", None]["arguments"] == '{"to": "[email]"}'
    assert entries["tool", None]["result"] == '{"sent": true}'


@pytest.mark.parametrize(
    ("ended", "seen_at", "told"),
    [("ended", 0.0, "ended"), (None, 950.0, "in progress"), (None, 900.0, "lost")],
)
def test_a_call_that_nobody_writes_of_is_lost(ended: str | None, seen_at: float, told: str) -> None:
    assert ending({"ended": ended, "seen_at": seen_at}, 1_000.0) == told


async def test_a_call_in_progress_is_written_of_again_and_again() -> None:
    kept = Kept()
    kept.take(BEGAN)
    kept.now = 1_030.0
    kept.records.seen()
    call = await kept.call()
    assert (call["seen_at"], call["seconds"]) == (1_030.0, 30.0)


async def test_what_comes_after_a_calls_end_or_of_no_call_is_nothing() -> None:
    kept = Kept()
    kept.take(turn_over("answered", 400.0))
    kept.take(BEGAN, call_ended(), turn_over("answered", 400.0))
    assert await kept.entries() == []
    assert repr(kept.records) == "<CallRecords: 0 calls in progress>"


async def test_to_erase_a_caller_reaches_the_call_and_all_that_happened_in_it() -> None:
    kept = Kept()
    other = t.CallBegan(**{**SHARED, "call_id": "other"}, providers=PROVIDERS, caller="key-2")
    kept.take(BEGAN, said("Hello?"), turn_over("answered", 400.0), other)
    assert await kept.store.erase("+15550100") == {"calls": 1, "call_entries": 2}
    assert (await kept.call())["call_id"] == "other"
    assert await kept.entries() == []


def test_whatever_keeps_a_caller_names_the_column_by_which_it_is_erased() -> None:
    from repartee.store.tables import TABLES

    for table in TABLES:
        holds_calls = {"caller", "call_id", "phone"} & {column.name for column in table.columns}
        assert table.subject or not holds_calls, f"{table.name} would be left out by calls erase"


async def test_a_record_has_what_was_used_and_what_it_cost() -> None:
    kept = Kept()
    prices = read_prices(
        '{"stt": {"s": {"minute": 0.6}}, "llm": {"l": {"million_input_tokens": 10, "million_output_tokens": 100}}}'
    )
    kept.records = CallRecords(kept.store, prices=prices)
    used = [
        t.VendorUsed(**SHARED, stage="llm", provider="l", input_tokens=1_000, output_tokens=50),
        t.VendorUsed(
            **SHARED, stage="llm", provider="l", input_tokens=2_000, output_tokens=50, estimated=True
        ),
        t.VendorUsed(**SHARED, stage="tts", provider="t", characters=200),
    ]
    kept.take(BEGAN, *used, call_ended())
    call = await kept.call()
    assert call["cost"] == pytest.approx(60 / 60 * 0.6 + 3_000 * 10 / 1e6 + 100 * 100 / 1e6)
    details = json.loads(str(call["details"]))
    assert details["unpriced"] == ["tts t"]
    usage = {one["stage"]: one for one in details["usage"]}
    assert (usage["llm"]["input_tokens"], usage["llm"]["output_tokens"]) == (3_000, 100)
    assert usage["llm"]["estimated_tokens"] == 2_050
    assert usage["tts"]["characters"] == 200
    assert usage["stt"]["seconds"] == 60.0
