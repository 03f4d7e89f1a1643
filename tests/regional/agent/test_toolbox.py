"""One call's tools: what is refused, and what is done only once."""

import json

from tests.regional.agent.desk import Desk, running, settle

from repartee import Limits, ToolError
from repartee.agent.toolbox import Run


async def test_wrong_calls_are_refused_in_words_and_run_nothing() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    told = [
        json.loads(await toolbox.run(turn, str(turn), name, arguments))["error"]
        for turn, (name, arguments) in enumerate(
            [("nope", "{}"), ("book", '{"dya": 1}'), ("book", "{"), ("book", '"' + "x" * 20_000 + '"')]
        )
    ]
    assert told[0] == "There is no tool 'nope'. The tools are: lookup, balance, book, ring."
    assert told[1].startswith("The arguments are wrong: day: Field required; dya: Extra inputs")
    assert "Invalid JSON" in told[2]
    assert told[3] == "The arguments are too long."
    assert desk.began == []
    assert toolbox.ran("1") == Run("book", 1, ok=False)
    assert toolbox.answered("1") == ()


async def test_a_model_that_calls_in_circles_is_stopped() -> None:
    desk = Desk(limits=Limits(tool_calls_per_turn=2))
    toolbox = desk.toolbox()
    errors = [json.loads(await toolbox.run(7, str(n), "book", "{}"))["error"] for n in range(3)]
    assert errors[1].startswith("The arguments are wrong")
    assert errors[2] == "Too many tool calls. Answer the caller with what is known."
    assert "arguments are wrong" in await toolbox.run(8, "3", "book", "{}")


async def test_the_same_booking_is_made_once_and_answered_with_the_first_result() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    first = running(toolbox.run(1, "1", "book", '{"day": "monday"}'))
    second = running(toolbox.run(1, "2", "book", '{ "day":"monday" }'))
    other = running(toolbox.run(1, "3", "book", '{"day": "friday"}'))
    await settle()
    assert desk.began == ["book monday", "book friday"]
    desk.answer("book monday", {"at": "ten"})
    desk.answer("book friday", None)
    assert await first == await second == '{"at":"ten"}'
    assert await other == '{"status":"done"}'
    assert await toolbox.run(2, "4", "book", '{"day": "monday"}') == '{"at":"ten"}'
    assert desk.began == ["book monday", "book friday"]


async def test_a_repeatable_tool_is_repeated() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    for call_id in "12":
        task = running(toolbox.run(1, call_id, "ring", "{}"))
        await settle()
        desk.answer("ring", None)
        await task
    assert desk.began == ["ring", "ring"]


async def test_a_failed_booking_is_not_repeated_unless_nothing_was_done() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    for day, error in [("monday", ToolError("Closed.")), ("friday", ToolError("Taken.", retry=True))]:
        task = running(toolbox.run(1, day, "book", f'{{"day": "{day}"}}'))
        await settle()
        desk.answer(f"book {day}", error)
        assert json.loads(await task) == {"error": str(error)}
    assert await toolbox.run(2, "3", "book", '{"day": "monday"}') == '{"error":"Closed."}'
    again = running(toolbox.run(2, "4", "book", '{"day": "friday"}'))
    await settle()
    assert desk.began == ["book monday", "book friday", "book friday"]
    desk.answer("book friday", "booked")
    assert await again == '"booked"'


async def test_a_booking_cut_off_by_cancellation_is_not_repeated_either() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    first = running(toolbox.run(1, "1", "book", '{"day": "monday"}'))
    second = running(toolbox.run(1, "2", "book", '{"day": "monday"}'))
    await settle()
    first.cancel()
    assert "Whether it took effect is not known" in await second
    assert "Whether it took effect is not known" in await toolbox.run(1, "3", "book", '{"day": "monday"}')
    assert desk.began == ["book monday"]
    assert toolbox.must_finish("book")
    assert not toolbox.must_finish("lookup")
    assert not toolbox.must_finish("nope")
