"""docs/agents.md: what it shows works as pasted, and what it names is there."""

import importlib
import re
import textwrap
from dataclasses import fields
from pathlib import Path

import pytest

import repartee
from repartee.agent.agent import Agent, worker_side
from repartee.agent.context import CallContext
from repartee.agent.fillers import FillerPolicy
from repartee.agent.limits import Limits
from repartee.agent.loader import load
from repartee.agent.prefetch import PrefetchPolicy
from repartee.agent.toolbox import Toolbox
from repartee.errors import ConfigurationError

PAGE = (Path(__file__).parents[3] / "docs" / "agents.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def test_the_first_agent_works_as_pasted(tmp_path: Path) -> None:
    assert len(BLOCKS[0].splitlines()) <= 25
    (tmp_path / "bakery.py").write_text(BLOCKS[0])
    agent = load(f"{tmp_path}/bakery.py")
    toolbox = Toolbox(agent, worker_side(agent).new_call("call_0042"))
    [predicted] = toolbox.heard(1, "do you have any rye bread left")
    await toolbox.prefetch(predicted)
    assert await toolbox.run(1, "1", "loaves_left", '{"bread": "rye"}') == "12"
    run = toolbox.ran("1")
    assert run is not None
    assert run.prefetch == "hit"
    put = '{"bread": "rye", "loaves": 2}'
    assert await toolbox.run(1, "2", "put_aside", put) == '"Put aside under number 0042."'
    assert await toolbox.run(1, "3", "put_aside", put) == '"Put aside under number 0042."'
    assert await toolbox.run(2, "4", "loaves_left", '{"bread": "rye"}') == "10"


def test_the_faults_are_told_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bad = BLOCKS[0].replace(
        '{("bread", "rye", "baguette", "sourdough"): "loaves_left"}', '{"bread": "loafs_left"}'
    )
    bad = bad.replace('    """See how many loaves of a bread are left."""\n', "").replace(
        "async def put", "def put"
    )
    (tmp_path / "bakery.py").write_text(bad)
    with pytest.raises(ConfigurationError) as refused:
        load("bakery.py")
    assert textwrap.indent(str(refused.value), "    ") in PAGE


def test_every_block_is_python() -> None:
    for block in BLOCKS:
        compile(block, "agents.md", "exec")


def test_every_option_of_an_agent_is_told_of() -> None:
    told = set(re.findall(r"`(\w+)`", PAGE))
    arguments = Agent.__init__.__annotations__.keys() - {"return"}
    context = {name for name in vars(CallContext("1")) if not name.startswith("_")}
    tool = {"read_only", "repeatable", "filler", "timeout_s", "name"} & set(re.findall(r"`(\w+)[`=]", PAGE))
    assert arguments <= told
    assert context <= told
    assert len(tool) == 5
    assert all(f"{field.name}=" in PAGE for field in fields(Limits))


def test_the_figures_are_the_defaults() -> None:
    assert (FillerPolicy().after_ms, FillerPolicy().again_after_ms) == (150, 4000)
    assert (PrefetchPolicy().limit_s, PrefetchPolicy().keep_s) == (2, 30)
    assert (PrefetchPolicy().per_call, PrefetchPolicy().at_once, PrefetchPolicy().give_up_after) == (20, 3, 4)
    said = " ".join(PAGE.split())
    assert "within 150 ms (`filler_after_ms`), and another after 4 s" in said
    assert "runs at most 2 s. Its result lives for 30 s" in said
    assert "make 20 guesses, 3 at a time" in said
    limits = ", ".join(f"{field.name}={getattr(Limits(), field.name):g}" for field in fields(Limits))
    assert f"Limits({limits})" in PAGE


def test_the_package_offers_what_an_agents_file_needs() -> None:
    for name in repartee.__all__:
        assert name == "Secret" or getattr(repartee, name).__name__ == name
    namespace: dict[str, object] = {}
    exec("from repartee import *", namespace)
    assert set(repartee.__all__) <= namespace.keys()
    assert not hasattr(importlib.import_module("repartee"), "nothing_of_that_name")
