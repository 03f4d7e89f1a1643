"""Conversations with a provider that does whatever comes into its mind, tools that fail and callers who cut in."""

import random

import pytest
from tests.regional.relay.dialogue import Dialogue

from repartee.agent.fillers import Fillers
from repartee.relay import commands as r
from repartee.turn import commands as c
from repartee.turn.policy import TurnPolicy

POLICY = TurnPolicy(
    tools=frozenset({"look_up"}), client_tools=frozenset({"theirs"}), tool_calls_per_turn=3, idle_s=None
)
STEP_S = 0.05
QUIET_S = 45.0
"""So long nobody speaks after a turn: whatever is to come has come by then."""

CALLS = 200


class Wayward:
    """Plays the provider and the tools, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.talk = Dialogue(
            POLICY, Fillers({}, company="One moment, please."), cuts=self.chance.random() < 0.5
        )
        self.todo: list[tuple[float, str, str]] = []
        self.active: str | None = None
        self.answered = 0
        self.ran = 0
        self.read = 0

    def later(self, most_s: float, what: str, about: str = "") -> None:
        self.todo.append((self.talk.now + self.chance.uniform(0.05, most_s), what, about))

    def run(self, seconds: float) -> None:
        """Time passes; the provider and the tools do what they like."""
        until = self.talk.now + seconds
        while self.talk.now < until:
            self.talk.wait(STEP_S)
            self.notice()
            due = [each for each in self.todo if each[0] <= self.talk.now]
            self.todo = [each for each in self.todo if each[0] > self.talk.now]
            for _, what, about in due:
                getattr(self, what)(about)

    def notice(self) -> None:
        """What it was asked for, and which tools run."""
        asks = self.talk.asks()
        for ask in asks[self.answered :]:
            kind = self.chance.choices(["respond", "refuse", "nothing"], [8, 1, 1])[0]
            if self.active is not None or kind == "refuse":
                code = "conversation_already_has_active_response" if self.active else "server_error"
                error = {"message": "No.", "code": code, "event_id": ask["event_id"]}
                self.talk.provider("error", error=error)
            elif kind == "respond":
                self.later(3.0, "respond")
        self.answered = len(asks)
        for event in self.talk.sent[self.read :]:
            cancels = event["type"] == "response.cancel" and event["response_id"] == self.active
            if cancels and self.active is not None:
                self.over(self.active, "cancelled", "client_cancelled")
        self.read = len(self.talk.sent)
        runs = self.talk.all(c.RunTool)
        for run in runs[self.ran :]:
            self.later(12.0, "give", run.call_id)
        self.ran = len(runs)

    def give(self, call_id: str) -> None:
        self.talk.tool_gives(call_id, self.chance.choice(["ten", '{"error": "It failed."}']))

    def turn_is_over(self) -> None:
        """It answers by itself, or does not."""
        if self.chance.random() < 0.9:
            self.later(3.0, "respond")

    def respond(self, _: str) -> None:
        if self.active is not None:
            return
        self.active = response_id = self.talk.begins()
        course = self.chance.choices(
            ["speak", "call", "both", "empty", "mute", "hang", "filtered", "failed", "unknown", "theirs"],
            [8, 4, 2, 1, 1, 1, 1, 1, 1, 0],
        )[0]
        if course == "hang":
            return
        self.later(2.0, "go_on", f"{response_id} {course}")

    def go_on(self, about: str) -> None:
        response_id, course = about.split()
        if response_id != self.active:
            return
        talk = self.talk
        if course in ("speak", "both", "filtered"):
            talk.speaks(response_id, ms=self.chance.uniform(200, 4_000))
        if course == "mute":
            talk.speaks(response_id, ms=self.chance.choice([0, 500]), silent_ms=500)
        if course in ("call", "both"):
            talk.calls(response_id)
        if course == "unknown":
            talk.calls(response_id, "no_such_thing")
        status = {"filtered": "incomplete", "failed": "failed"}.get(course, "completed")
        self.over(response_id, status, "content_filter" if course == "filtered" else None)

    def over(self, response_id: str, status: str, reason: str | None = None) -> None:
        self.active = None
        for _ in range(self.chance.choice([1, 1, 1, 2])):
            self.talk.ends(response_id, status, reason)

    def caller_speaks(self) -> float:
        """A turn, perhaps over the agent. Returns when its last sample came."""
        self.talk.caller_starts()
        if self.active is not None:
            self.over(self.active, "cancelled", "turn_detected")
        self.run(self.chance.uniform(0.2, 2.0))
        ended_at = self.talk.now
        self.talk.caller_stops(
            self.chance.choice([None, "", "Okay, thank you.", "Mhm.", "What is my balance?"])
        )
        self.turn_is_over()
        return ended_at


@pytest.mark.parametrize("block", range(4))
def test_nobody_waits_longer_than_eight_seconds(block: int) -> None:
    for seed in range(block * CALLS // 4, (block + 1) * CALLS // 4):
        play = Wayward(seed)
        for _ in range(play.chance.randint(1, 4)):
            last_word = play.caller_speaks()
            play.run(play.chance.uniform(0.0, 6.0))
        play.run(QUIET_S)
        first = next((at for at in play.talk.heard_at if at >= last_word), None)
        assert first is not None and first - last_word <= 8 + STEP_S, f"seed {seed}: silent until {first}"
        check(play, seed)


def check(play: Wayward, seed: int) -> None:
    """What holds at a call's quiet end, whatever has happened in it."""
    talk = play.talk
    assert not talk.all(c.GiveUp), f"seed {seed}: the apology is in memory"
    assert not talk.machine.turns.wait.untold, f"seed {seed}: a result was never told"
    runs = [run.call_id for run in talk.all(c.RunTool)]
    assert len(runs) == len(set(runs)), f"seed {seed}: a tool ran twice"
    turns = max(talk.machine.turns.turn_id, 1)
    assert len(talk.asks()) <= turns * (2 * POLICY.tool_calls_per_turn + 8), f"seed {seed}: too many requests"
    done = [event["response"]["id"] for event in talk.seen if event["type"] == "response.done"]
    done += [cut.response_id for cut in talk.all(r.CutResponse)]
    assert len(done) == len(set(done)), f"seed {seed}: a response ended twice"
    finished = [command.turn_id for command in talk.all(c.TurnFinished)]
    assert len(finished) == len(set(finished)), f"seed {seed}: a turn was finished twice"
    kept = {item["id"] for item in talk.machine.items.replay() if item.get("role") == "assistant"}
    heard = {sound.delta.item_id for sound in talk.all(r.PlaySound)} | {
        started.message.item_id for started in talk.all(c.AnswerStarted)
    }
    recreated = {item for item in kept if item.startswith("item_call_")}
    assert kept - recreated <= heard, f"seed {seed}: the history has words that nobody heard"
