"""What past calls teach, and how it is kept."""

import sqlite3
from pathlib import Path

import pytest

from repartee.agent.experience import END, Experience, ExperienceStore
from repartee.errors import ConfigurationError

DAY_S = 86_400.0


def likely(experience: Experience, state: str, now: float = 0.0) -> list[str]:
    return experience.likely(state, now, min_probability=0.3, min_weight=3.0)


def test_what_often_follows_is_likely() -> None:
    experience = Experience()
    for _ in range(3):
        experience.note([("greeting", "lookup"), ("lookup", "balance"), ("balance", END)], 0.0)
    experience.note([("greeting", "lookup"), ("lookup", "payments"), ("payments", END)], 0.0)
    experience.note([("greeting", END)], 0.0)
    assert likely(experience, "greeting") == ["lookup"]
    assert likely(experience, "lookup") == ["balance"]
    assert likely(experience, "balance") == []
    assert likely(experience, "unheard of") == []


def test_few_calls_teach_nothing() -> None:
    experience = Experience()
    experience.note([("greeting", "lookup")] * 2, 0.0)
    assert likely(experience, "greeting") == []
    experience.note([("greeting", "lookup")], 0.0)
    assert likely(experience, "greeting") == ["lookup"]


def test_old_calls_fade() -> None:
    experience = Experience(half_life_s=14 * DAY_S)
    experience.note([("greeting", "old")] * 8, 0.0)
    experience.note([("greeting", "new")] * 2, 56 * DAY_S)
    assert likely(experience, "greeting", 0.0) == ["old"]
    assert likely(experience, "greeting", 56 * DAY_S) == []
    experience.note([("greeting", "new")], 56 * DAY_S)
    assert likely(experience, "greeting", 56 * DAY_S) == ["new"]


def test_the_time_a_tool_takes() -> None:
    experience = Experience()
    assert experience.expected_ms("look") is None
    experience.took("look", 800.0)
    assert experience.expected_ms("look") == 800.0
    for _ in range(20):
        experience.took("look", 100.0)
    assert 100.0 <= (experience.expected_ms("look") or 0) < 110.0


def test_the_store_keeps_counts_across_processes_and_agents_apart(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "experience.sqlite3"
    assert likely(ExperienceStore(path, "bank").load(), "greeting") == []
    for _ in range(2):
        ExperienceStore(path, "bank").add([("greeting", "lookup"), ("greeting", "lookup")], 0.0)
    ExperienceStore(path, "clinic").add([("greeting", "times")] * 4, 0.0)
    assert likely(ExperienceStore(path, "bank").load(), "greeting") == ["lookup"]
    assert likely(ExperienceStore(path, "clinic").load(), "greeting") == ["times"]


def test_the_store_decays_as_memory_does(tmp_path: Path) -> None:
    store = ExperienceStore(tmp_path / "x.sqlite3", "bank", half_life_s=DAY_S)
    memory = Experience(half_life_s=DAY_S)
    store.load()
    for day, tool in enumerate(["a", "a", "b", "a", "b", "b"]):
        store.add([("greeting", tool)], day * DAY_S)
        memory.note([("greeting", tool)], day * DAY_S)
    for probability in (0.2, 0.4, 0.6):
        asked = {"min_probability": probability, "min_weight": 1.0}
        assert store.load().likely("greeting", 6 * DAY_S, **asked) == memory.likely(
            "greeting", 6 * DAY_S, **asked
        )


def test_no_arguments_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    store = ExperienceStore(path, "bank")
    store.load()
    store.add([("greeting", "lookup")], 5.0)
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT * FROM transitions").fetchall()
    db.close()
    assert rows == [("bank", "greeting", "lookup", 1.0, 5.0)]


def test_a_file_that_is_no_database_is_told_at_start_and_costs_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.sqlite3"
    path.write_text("this is not a database, but a text that somebody has put here " * 20)
    store = ExperienceStore(path, "bank")
    with pytest.raises(ConfigurationError, match=r"cannot be kept in .*not a database"):
        store.load()
    store.add([("greeting", "lookup")], 0.0)
    assert "What a call taught was not kept" in caplog.text
