"""What the caller hears while tools run, and when."""

from repartee.agent.fillers import FillerPolicy, Fillers

PHRASES = {"look": ("Let me look.", "One moment."), "book": ("I am booking it.",), "mute": ()}


def test_nothing_is_said_if_the_result_is_there_within_150_ms() -> None:
    fillers = Fillers(PHRASES)
    fillers.begin("1", "look", 10.0)
    assert fillers.due_at() == 10.15
    assert fillers.take(10.149) is None
    fillers.end("1")
    assert fillers.due_at() is None
    assert fillers.take(10.2) is None


def test_one_at_150_ms_and_another_at_4_s_and_no_third() -> None:
    fillers = Fillers(PHRASES)
    fillers.begin("1", "look", 10.0)
    assert fillers.take(10.15) == "Let me look."
    assert fillers.due_at(audible_until=11.3) == 14.0
    assert fillers.take(13.9) is None
    assert fillers.take(14.0) == "One moment."
    assert fillers.due_at() is None
    assert fillers.take(30.0) is None


def test_a_single_phrase_is_said_once_a_wait_and_again_in_the_next() -> None:
    fillers = Fillers(PHRASES)
    fillers.begin("1", "book", 0.0)
    assert fillers.take(0.2) == "I am booking it."
    assert fillers.due_at() is None
    fillers.end("1")
    fillers.begin("2", "book", 20.0)
    assert fillers.take(20.2) == "I am booking it."


def test_phrases_rotate_and_the_last_one_is_not_repeated() -> None:
    fillers = Fillers(PHRASES)
    said = []
    for wait in range(4):
        fillers.begin(str(wait), "look", wait * 10.0)
        said.append(fillers.take(wait * 10.0 + 0.15))
        fillers.end(str(wait))
    assert said == ["Let me look.", "One moment."] * 2


def test_the_same_phrase_of_two_tools_is_not_said_twice_in_a_row() -> None:
    fillers = Fillers({"a": ("Wait.", "Hm."), "b": ("Wait.", "Well.")})
    fillers.begin("1", "a", 0.0)
    assert fillers.take(0.2) == "Wait."
    fillers.end("1")
    fillers.begin("2", "b", 5.0)
    assert fillers.take(5.2) == "Well."


def test_never_over_what_is_being_said() -> None:
    fillers = Fillers(PHRASES)
    fillers.begin("1", "look", 10.0)
    assert fillers.due_at(audible_until=12.0) == 12.15
    assert fillers.take(11.0, audible_until=12.0) is None
    assert fillers.take(12.15, audible_until=12.0) == "Let me look."


def test_a_tool_known_to_be_slow_gets_its_filler_almost_at_once() -> None:
    expected = {"look": 800.0, "book": 300.0}
    fillers = Fillers(PHRASES, expected_ms=expected)
    fillers.begin("1", "look", 10.0)
    assert fillers.take(10.01) is None
    assert fillers.take(10.02) == "Let me look."
    fillers.end("1")
    fillers.begin("2", "book", 20.0)
    assert fillers.due_at() == 20.15


def test_tools_in_parallel_make_one_wait() -> None:
    fillers = Fillers(PHRASES)
    fillers.begin("1", "mute", 0.0)
    fillers.begin("2", "book", 0.05)
    fillers.begin("3", "look", 0.06)
    assert fillers.due_at() == 0.15, "silence counts from the first"
    assert fillers.take(0.2) == "I am booking it."
    fillers.end("2")
    assert fillers.due_at(audible_until=1.5) == 4.0
    assert fillers.take(4.0) == "Let me look."


def test_a_tool_without_phrases_is_silent_and_so_is_a_wait_that_is_over() -> None:
    fillers = Fillers(PHRASES)
    fillers.begin("1", "mute", 0.0)
    assert fillers.due_at() is None
    fillers.begin("2", "look", 0.0)
    fillers.cancel()
    assert fillers.take(9.0) is None
    assert repr(fillers) == "<Fillers: 0 tools awaited, 0 said>"


def test_a_chain_of_quick_tools_is_one_silence() -> None:
    fillers = Fillers(PHRASES)
    fillers.begin("1", "look", 10.0)
    fillers.end("1")
    assert fillers.take(10.15) is None, "the model is being asked"
    fillers.begin("2", "look", 10.4)
    assert fillers.due_at() == 10.42
    assert fillers.take(10.42) == "Let me look."


def test_a_long_silence_of_a_tool_without_phrases_ends_with_company_as_often_as_it_takes() -> None:
    fillers = Fillers(PHRASES, company="One moment, please.")
    fillers.begin("1", "mute", 10.0)
    assert fillers.due_at() == 15.0
    assert fillers.take(14.9) is None
    assert fillers.take(15.0) == "One moment, please."
    for heard_until in (16.0, 22.0, 28.0):
        assert fillers.due_at(audible_until=heard_until) == heard_until + 5
        assert fillers.take(heard_until + 5, audible_until=heard_until) == "One moment, please."


def test_fillers_can_be_switched_off_and_delayed() -> None:
    off = Fillers(PHRASES, FillerPolicy(per_wait=0))
    off.begin("1", "look", 0.0)
    assert off.due_at() is None
    late = Fillers(PHRASES, FillerPolicy(after_ms=700.0))
    late.begin("1", "look", 0.0)
    assert late.due_at() == 0.7
