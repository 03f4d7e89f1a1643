"""An agent that is edited while its worker serves."""

import io
import os
from pathlib import Path

import pytest

from repartee.agent.agent import Agent
from repartee.agent.loader import load
from repartee.app.reload import AgentWatch

FILE = """from repartee import Agent

agent = Agent(instructions="{words}")
"""


class Desk:
    """A file with an agent, a watch on it, and what came of it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "desk.py"
        self.file.write_text(FILE.format(words="Be kind."))
        self.served: list[Agent] = []
        self.out = io.StringIO()
        spec = f"{self.file}:agent"
        self.watch = AgentWatch(spec, load(spec), self.served.append, self.out)

    def saves(self, text: str) -> None:
        """The editor writes the file; its time is told apart however quick the test is."""
        self.file.write_text(text)
        when = self.file.stat().st_mtime_ns + 1_000_000
        os.utime(self.file, ns=(when, when))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_nothing_happens_while_the_file_stays_as_it_is(desk: Desk) -> None:
    desk.watch.look()
    assert (desk.served, desk.out.getvalue()) == ([], "")


def test_a_saved_file_is_served_to_the_next_call(desk: Desk) -> None:
    desk.saves(FILE.format(words="Be brief."))
    desk.watch.look()
    desk.watch.look()
    assert [agent.instructions for agent in desk.served] == ["Be brief."]
    assert desk.out.getvalue() == "agent: reloaded; new calls get the new one\n"


def test_a_faulty_file_is_told_and_the_next_good_one_is_served(desk: Desk) -> None:
    desk.saves("from repartee import Agent\nagent = Agent(")
    desk.watch.look()
    assert desk.served == []
    assert "the one before goes on" in desk.out.getvalue()
    assert "desk.py:2" in desk.out.getvalue()

    desk.saves(FILE.format(words="Be back."))
    desk.watch.look()
    assert [agent.instructions for agent in desk.served] == ["Be back."]


def test_a_file_that_is_gone_for_a_moment_is_waited_for(desk: Desk) -> None:
    desk.file.unlink()
    desk.watch.look()
    assert desk.served == []
    desk.saves(FILE.format(words="Be patient."))
    desk.watch.look()
    assert [agent.instructions for agent in desk.served] == ["Be patient."]
