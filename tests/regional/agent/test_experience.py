"""What past calls teach."""

from repartee.agent.experience import END, Experience, counted

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


def test_a_count_kept_elsewhere_grows_as_memory_does() -> None:
    memory = Experience(half_life_s=DAY_S)
    kept: dict[tuple[str, str], tuple[float, float]] = {}
    for day, tool in enumerate(["a", "a", "b", "a", "b", "b"]):
        memory.note([("greeting", tool)], day * DAY_S)
        key = ("greeting", tool)
        kept[key] = counted(kept.get(key), day * DAY_S, DAY_S)
    loaded = Experience(kept, half_life_s=DAY_S)
    for probability in (0.2, 0.4, 0.6):
        asked = {"min_probability": probability, "min_weight": 1.0}
        assert loaded.likely("greeting", 6 * DAY_S, **asked) == memory.likely("greeting", 6 * DAY_S, **asked)
