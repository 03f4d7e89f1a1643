"""What must hold in every conversation, whatever happened in it."""

from collections import Counter
from collections.abc import Iterator

from tests.simulation.conversation import Played
from tests.simulation.recogniser import Sound

from repartee.agent.limits import Limits
from repartee.providers.spoken_so_far import UNTIMED_WORDS
from repartee.telemetry import events as t
from repartee.transport.interfaces import CallEnd
from repartee.turn import commands as c

SILENCE_S = 8.0
"""The longest silence while something is owed."""

SLACK_S = 0.12
"""Virtual time is exact, but the caller's voice is sent in pieces of 100 ms, and sounds are 20 ms long or longer."""

SPARE_WORDS = 3
"""A voice that gives no times leaves it to be reckoned which words were heard: so many may be too many."""

MOST_REQUESTS = 2 * Limits().tool_calls_per_turn + 8
"""To models, in one turn."""


def faults(played: Played) -> list[str]:
    """What was wrong, in sentences. None: all is well."""
    return [
        *_silences(played),
        *_unheard_words(played),
        *_done_twice(played),
        *_requests(played),
        *_errors(played),
    ]


def _silences(played: Played) -> Iterator[str]:
    for question in played.caller.questions:
        if question.ended > played.ended_at:
            continue
        until = _answered_at(played, question)
        sounds = sorted(
            [
                *((each.began, each.ended) for each in played.line.heard if each.number),
                *((sound.began, sound.ended) for sound in played.caller.sounds),
            ]
        )
        silent_since = question.ended
        for began, ended in [*sounds, (until, until)]:
            silence_s = min(began, until) - silent_since
            if silence_s > SILENCE_S + SLACK_S:
                yield (
                    f"{silence_s:.1f} s of silence from {silent_since:.1f} on, after "
                    f"{question.words!r} had ended at {question.ended:.1f}"
                )
                break
            if began >= until or (began > question.ended and _was_deaf(played, question)):
                break
            silent_since = max(silent_since, ended)


def _was_deaf(played: Played, question: Sound) -> bool:
    """Nobody heard the question for so long that the caller was told; they may take their time to say it again."""
    return not any(
        isinstance(command, c.TurnEnded) and question.ended <= at <= question.ended + SILENCE_S
        for at, command in played.line.log
    )


def _answered_at(played: Played, question: Sound) -> float:
    """When nothing was owed any more for this question: its turn, or one that took its place, was finished.

    A turn that the caller's own sounds have stopped before its answer was heard is still owed one: after a cough the
    answer follows, after other words theirs.
    """
    began = [
        command.turn_id
        for at, command in played.line.log
        if isinstance(command, c.TurnEnded) and command.item is not None and at >= question.ended
    ]
    for at, event in played.events:
        if not isinstance(event, t.TurnOver) or event.outcome == "superseded":
            continue
        if began and event.turn_id >= began[0]:
            return at
    return played.ended_at


def _unheard_words(played: Played) -> Iterator[str]:
    replies = {
        command.message.item_id: command.reply_id
        for _, command in played.line.log
        if isinstance(command, c.AnswerStarted)
    }
    for message in played.history:
        if message.role != "assistant" or message.item_id not in replies:
            continue
        reply_id = replies[message.item_id]
        heard = [
            played.words[each.number]
            for each in played.line.heard
            if each.reply_id == reply_id and each.number and each.ms >= 100 and each.began < played.ended_at
        ]
        kept = message.heard_text.split()
        spare = SPARE_WORDS if reply_id in played.voice.timeless else 0
        if message.heard_text == message.text:
            spare = max(spare, UNTIMED_WORDS)
        sure = max(len(kept) - spare, 0)
        if kept[:sure] != heard[:sure]:
            yield f"the history holds {message.heard_text!r}, and what was heard is {' '.join(heard)!r}"


def _done_twice(played: Played) -> Iterator[str]:
    for number, times in played.backend.booked.items():
        if times > 1:
            yield f"booking {number} was made {times} times"


def _requests(played: Played) -> Iterator[str]:
    per_turn: Counter[int] = Counter()
    for at in played.model.asked_at:
        turns = [
            command.turn_id
            for began, command in played.line.log
            if isinstance(command, c.StartReply) and began <= at
        ]
        per_turn[turns[-1] if turns else 0] += 1
    for turn_id, count in per_turn.items():
        if turn_id and count > MOST_REQUESTS:
            yield f"turn {turn_id} took {count} requests, more than {MOST_REQUESTS}"


def _errors(played: Played) -> Iterator[str]:
    for error in played.line.refusals:
        yield f"the client was shown an error that it did not cause: {error}"
    if played.line.failures and played.end is not CallEnd.PROVIDERS_GONE:
        yield f"the client was shown a failure, and the call went on: {played.line.failures}"
    if played.end is CallEnd.FAILED:
        yield "the call failed by a fault of the worker's own"
    if played.left_behind:
        yield f"{played.left_behind} tasks were left behind"
