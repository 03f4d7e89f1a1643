"""Keys that are pressed become a whole at #, by their number, or by a pause."""

import pytest

from repartee import Agent, CallContext
from repartee.agent.keys import KeyCollector, KeyPolicy
from repartee.errors import CannotControl, ConfigurationError


def pressed(collector: KeyCollector, digits: str) -> list[str]:
    return [whole for digit in digits if (whole := collector.press(digit, 1.0)) is not None]


def test_a_hash_ends_them_at_once() -> None:
    assert pressed(KeyCollector(KeyPolicy()), "123#") == ["123"]


def test_a_hash_alone_is_a_key() -> None:
    collector = KeyCollector(KeyPolicy())
    assert pressed(collector, "#") == []
    assert collector.paused(3.0) == "#"


def test_so_many_end_them_at_once() -> None:
    assert pressed(KeyCollector(KeyPolicy(digits=4)), "12345678") == ["1234", "5678"]


def test_a_pause_ends_them() -> None:
    collector = KeyCollector(KeyPolicy(pause_s=2.0))
    collector.press("1", 1.0)
    collector.press("2", 2.5)
    assert collector.due_at == 4.5
    assert collector.paused(4.4) is None
    assert collector.paused(4.5) == "12"
    assert collector.paused(9.0) is None


def test_a_hook_that_is_wrong_is_told_with_its_place() -> None:
    agent = Agent(instructions="Be kind.")

    @agent.on_dtmf(digits=65, pause_s=0.0)  # type: ignore[type-var]
    async def wrong(ctx: CallContext) -> None: ...

    with pytest.raises(ConfigurationError) as refused:
        agent.check()
    for words in ("two arguments, the context and the keys", "digits must be", "pause_s must be"):
        assert words in str(refused.value)


class OfAWebSocket:
    """A connection that can be closed, and no more."""

    can = frozenset({"hang_up"})

    def hang_up(self, say: str) -> None: ...

    def transfer(
        self, to: str, say: str, briefing: str = "", unanswered: str = "", music: bool = True
    ) -> None:
        raise AssertionError("it cannot be")

    def hold(self, music: bool) -> None:
        raise AssertionError("it cannot be")

    def take_back(self) -> None:
        raise AssertionError("it cannot be")

    def dtmf(self, digits: str) -> None:
        raise AssertionError("they cannot be")


def test_what_a_connection_cannot_do_is_refused_in_words() -> None:
    context = CallContext("1", handle=OfAWebSocket())
    assert context.can == {"hang_up"}
    refusal = r"It can do: hang_up \(ctx.can says so\)"
    with pytest.raises(CannotControl, match=refusal):
        context.transfer("+15550100")
    with pytest.raises(CannotControl, match=refusal):
        context.dtmf("12#")
    for do in (context.hold, context.take_back, lambda: context.transfer("+15550100", briefing="Hello.")):
        with pytest.raises(CannotControl, match=refusal):
            do()
    for number in ("", "help", "+", "<Dial>", "1" * 30):
        with pytest.raises(CannotControl, match="is no number"):
            context.transfer(number)
    with pytest.raises(CannotControl, match="are no keys"):
        context.dtmf("12x")


def test_a_run_that_may_never_have_happened_does_nothing_with_the_call() -> None:
    twin = CallContext("1", handle=OfAWebSocket()).fork()
    twin.hang_up("Bye.")
    twin.transfer("+15550100")
    twin.dtmf("1")
    assert twin.can == frozenset()
