"""What a store promises, the same for SQLite (in a file and in memory), PostgreSQL and a fake."""

import math
from collections.abc import Callable, Mapping
from operator import methodcaller

import pytest
from tests.regional.store.tables import CALLS, TABLES, VALUES

from repartee.store.interfaces import Store, Writing
from repartee.store.retention import Retention, expire, retention_of
from repartee.store.schema import MOST_LENGTH, Row, Table, Value

DAY_S = 86_400.0


def call(call_id: str, at: float = 0.0, caller: str | None = None, **more: Value) -> Row:
    return {"call_id": call_id, "started_at": at, "caller": caller, **more}


def inserting(row: Row) -> Callable[[Writing], bool]:
    return lambda writing: writing.insert(CALLS, row)


async def keep(store: Store, table: Table, *rows: Row) -> None:
    def job(writing: Writing) -> None:
        for row in rows:
            assert writing.insert(table, row)

    await store.write(job)


async def ids(store: Store, where: Row | None = None, **asked: object) -> list[object]:
    rows = await store.read(lambda reading: reading.rows(CALLS, where, **asked))  # type: ignore[arg-type]
    return [row["call_id"] for row in rows]


async def test_what_was_written_is_found_by_its_key(store: Store) -> None:
    await keep(store, CALLS, call("a", 1.5, "+44", words="Grüße, 你好, 🎈"), call("b", 2.0))
    found = await store.read(lambda reading: reading.get(CALLS, "a"))
    assert found == {
        "call_id": "a",
        "caller": "+44",
        "started_at": 1.5,
        "words": "Grüße, 你好, 🎈",
        "due_at": None,
    }
    assert await store.read(lambda reading: reading.get(CALLS, "c")) is None


async def test_every_kind_of_value_comes_back_as_it_was(store: Store) -> None:
    rows: list[Row] = [
        {"owner": "x", "number": number, "at": 0.1 + 0.2, "data": data, "share": share, "note": note}
        for number, data, share, note in (
            (2**63 - 1, b"\0\xff" * 100, 1e-300, ""),
            (-(2**63) + 1, b"", -0.0, 'it\'s "quoted"; -- ? %s'),
            (0, None, 5.0, None),
        )
    ]
    await keep(store, VALUES, *rows)
    for row in rows:
        assert await store.read(methodcaller("get", VALUES, "x", row["number"])) == row


async def test_a_default_stands_for_what_is_left_out(store: Store) -> None:
    await keep(store, VALUES, {"owner": "x", "number": 1, "at": 0.0})
    found = await store.read(lambda reading: reading.get(VALUES, "x", 1))
    assert found is not None
    assert (found["share"], found["data"]) == (0.5, None)


async def test_an_insert_leaves_what_is_there_and_an_upsert_replaces_it(store: Store) -> None:
    await keep(store, CALLS, call("a", 1.0, "first"))
    assert not await store.write(lambda writing: writing.insert(CALLS, call("a", 2.0, "second")))
    assert await ids(store, {"caller": "first"}) == ["a"]
    await store.write(lambda writing: writing.upsert(CALLS, call("a", 3.0, "third")))
    assert await ids(store, {"caller": "first"}) == []
    found = await store.read(lambda reading: reading.get(CALLS, "a"))
    assert found is not None
    assert (found["caller"], found["started_at"]) == ("third", 3.0)


async def test_rows_are_found_by_value_and_time_in_order(store: Store) -> None:
    await keep(store, CALLS, *(call(f"c{n}", float(n), "+44" if n % 2 else None) for n in (3, 1, 5, 2, 4)))
    assert await ids(store) == ["c1", "c2", "c3", "c4", "c5"]
    assert await ids(store, newest_first=True, limit=2) == ["c5", "c4"]
    assert await ids(store, since=2.0, until=4.0) == ["c2", "c3"]
    assert await ids(store, {"caller": "+44"}, since=2.0) == ["c3", "c5"]
    assert await ids(store, {"caller": None}) == ["c2", "c4"]
    assert await ids(store, limit=0) == []


async def test_what_is_due_is_found_by_another_column_than_the_time(store: Store) -> None:
    due = {"a": 30.0, "b": 10.0, "c": None, "d": 20.0}
    await keep(store, CALLS, *(call(name, 1.0, due_at=at) for name, at in due.items()))
    assert await ids(store, by="due_at", until=25.0) == ["b", "d"]
    assert await ids(store, by="due_at") == ["b", "d", "a"]


async def test_rows_of_one_moment_come_in_the_order_of_their_keys(store: Store) -> None:
    await keep(store, CALLS, *(call(name, 1.0) for name in "dacb"))
    assert await ids(store, limit=3) == ["a", "b", "c"]
    assert await ids(store, newest_first=True, limit=3) == ["d", "c", "b"]


async def test_a_job_that_fails_changes_nothing(store: Store) -> None:
    def job(writing: Writing) -> None:
        writing.insert(CALLS, call("a"))
        raise LookupError("an author's own")

    with pytest.raises(LookupError, match="an author's own"):
        await store.write(job)
    assert await ids(store) == []


async def test_a_job_sees_what_it_has_done_itself(store: Store) -> None:
    def job(writing: Writing) -> tuple[Row | None, int]:
        writing.insert(CALLS, call("a", 1.0))
        return writing.get(CALLS, "a"), writing.delete(CALLS, {"call_id": "a"})

    found, deleted = await store.write(job)
    assert found is not None
    assert deleted == 1


async def test_what_is_kept_later_is_there_for_the_next_who_looks(store: Store) -> None:
    for number in range(300):
        assert store.later(inserting(call(f"c{number}", float(number))))
    assert len(await ids(store, limit=1_000)) == 300
    assert store.figures().dropped == 0


async def test_a_change_that_fails_later_takes_none_of_the_others_with_it(store: Store) -> None:
    store.later(lambda writing: writing.insert(CALLS, call("a")))
    store.later(lambda writing: (writing.insert(CALLS, call("b")), 1 / 0))
    store.later(lambda writing: writing.insert(CALLS, {"no such column": 1}))
    store.later(lambda writing: writing.insert(CALLS, call("c")))
    assert await ids(store) == ["a", "c"]


async def test_deleted_rows_are_gone(store: Store) -> None:
    await keep(store, CALLS, call("a", 1.0, "+44"), call("b", 2.0, "+44"), call("c", 3.0, "+33"))
    assert await store.write(lambda writing: writing.delete(CALLS, {"caller": "+44"})) == 2
    assert await ids(store) == ["c"]
    assert await store.write(lambda writing: writing.delete(CALLS, {"caller": "+44"})) == 0
    with pytest.raises(ValueError):
        await store.write(lambda writing: writing.delete(CALLS, {}))
    assert await ids(store) == ["c"]


async def test_erasing_a_caller_reaches_every_table(store: Store) -> None:
    await keep(store, CALLS, call("a", 1.0, "+44"), call("b", 2.0, "+33"), call("c", 3.0))
    owned: list[Row] = [{"owner": "+44", "number": n, "at": 0.0} for n in range(3)]
    await keep(store, VALUES, *owned)
    store.later(lambda writing: writing.insert(CALLS, call("queued", 4.0, "+44")))
    assert await store.erase("+44") == {"calls": 2, "values": 3}
    assert await ids(store) == ["b", "c"]
    assert await store.read(lambda reading: reading.rows(VALUES)) == []
    assert await store.erase("+44") == {"calls": 0, "values": 0}


async def test_what_is_older_than_its_table_allows_goes(store: Store) -> None:
    now = 1_000 * DAY_S
    ages = {"new": 0.0, "just in": 30.0, "too old": 30.001, "ancient": 999.0}
    await keep(store, CALLS, *(call(name, now - age * DAY_S) for name, age in ages.items()))
    await keep(store, VALUES, {"owner": "x", "number": 1, "at": 0.0})
    retention = Retention(retention_of("", TABLES))
    assert await expire(store, TABLES, retention, now) == 2
    assert await ids(store) == ["just in", "new"]
    assert len(await store.read(lambda reading: reading.rows(VALUES))) == 1


async def test_settings_say_how_long_a_table_keeps_its_rows(store: Store) -> None:
    now = 1_000 * DAY_S
    await keep(store, CALLS, call("a", 0.0))
    await keep(store, VALUES, {"owner": "x", "number": 1, "at": now - 8 * DAY_S})
    retention = Retention(retention_of("calls=0, values=7", TABLES))
    assert await expire(store, TABLES, retention, now) == 1
    assert await ids(store) == ["a"]
    assert await store.read(lambda reading: reading.rows(VALUES)) == []


async def test_many_old_rows_go_a_few_at_a_time(store: Store) -> None:
    await keep(store, CALLS, *(call(f"c{n}", float(n)) for n in range(250)))
    gone = [await store.write(lambda writing: writing.expire(CALLS, 200.0, 150)) for _ in range(3)]
    assert gone == [150, 50, 0]
    assert (await ids(store))[0] == "c200"


BAD_ROWS: Mapping[str, Row] = {
    "a column that is none": call("a", colour="red"),
    "no key": {"started_at": 1.0},
    "no time": {"call_id": "a"},
    "a number for a text": {"call_id": 5, "started_at": 1.0},
    "a text for a number": {"call_id": "a", "started_at": "yesterday"},
    "no number": call("a", math.nan),
    "an endless number": call("a", math.inf),
    "a truth for a number": {"call_id": "a", "started_at": True},
    "too long": call("a", words="x" * (MOST_LENGTH + 1)),
}


@pytest.mark.parametrize("fault", BAD_ROWS)
async def test_a_row_that_does_not_fit_is_refused_alike_everywhere(store: Store, fault: str) -> None:
    for write in ("insert", "upsert"):
        with pytest.raises(ValueError, match=r"calls(\.| has no column)"):
            await store.write(methodcaller(write, CALLS, BAD_ROWS[fault]))
    assert await ids(store) == []


async def test_whole_numbers_have_64_bits(store: Store) -> None:
    with pytest.raises(ValueError, match="number takes integer"):
        await keep(store, VALUES, {"owner": "x", "number": 2**63, "at": 0.0})


async def test_words_that_no_database_takes_are_kept_as_far_as_they_can_be(store: Store) -> None:
    await keep(store, CALLS, call("a", words="one\0two \ud800 three"))
    found = await store.read(lambda reading: reading.get(CALLS, "a"))
    assert found is not None
    words = str(found["words"])
    assert words.startswith("one\ufffdtwo")
    assert words.endswith("three")


async def test_questions_that_make_no_sense_are_refused(store: Store) -> None:
    async def ask(job: object) -> None:
        with pytest.raises(ValueError):
            await store.read(job)  # type: ignore[arg-type]

    await ask(lambda reading: reading.get(CALLS))
    await ask(lambda reading: reading.get(CALLS, "a", "b"))
    await ask(lambda reading: reading.rows(CALLS, {"colour": "red"}))
    await ask(lambda reading: reading.rows(CALLS, by="colour"))
    await ask(lambda reading: reading.rows(CALLS, by="words", since=5.0))
