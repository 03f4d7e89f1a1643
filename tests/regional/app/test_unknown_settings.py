"""A setting that is mistyped is an error, with the one that was meant."""

import re
from pathlib import Path

import pytest
from tests.regional.app.running import run_region

from repartee.app.settings import Settings, read_settings, variable_of
from repartee.app.unknown_settings import OTHERS
from repartee.errors import ConfigurationError
from repartee_edge.settings import SETTING_NAMES

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("REPARTEE_MAX_CALL", "did you mean REPARTEE_MAX_CALLS?"),
        ("REPARTEE_LATENCYLOG", "did you mean REPARTEE_LATENCY_LOG?"),
        ("REPARTEE_QQQQQQQQ", "docs/operations.md lists those that there are"),
    ],
)
def test_a_mistyped_name_is_named_with_what_was_meant(name: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_settings({name: "5"})
    assert f"{name}: there is no such setting; {meant}" in str(refused.value)


def test_it_is_told_with_all_other_faults() -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_settings({"REPARTEE_MAX_CALL": "5", "REPARTEE_DRAIN_S": "-1"})
    assert "REPARTEE_MAX_CALL:" in str(refused.value)
    assert "REPARTEE_DRAIN_S:" in str(refused.value)


def test_a_region_does_not_start_with_one() -> None:
    done = run_region({"REPARTEE_MAX_CALL": "5"}, "--allow-anonymous")
    assert done.returncode == 1
    assert "REPARTEE_MAX_CALLS?" in done.stderr


def test_the_edges_settings_and_those_of_tests_may_be_set_too() -> None:
    read_settings(dict.fromkeys((*SETTING_NAMES, *OTHERS), ""))
    read_settings({"REPARTEE_API_KEY": "k", "OTHER_THING": "x"})


def test_every_setting_that_the_project_names_is_known() -> None:
    """In its own files: the Terraform module, Kubernetes, compose, the container."""
    known = {variable_of(name) for name in Settings.model_fields} | set(SETTING_NAMES) | OTHERS
    named: set[str] = set()
    for folder in ("infra", "terraform"):
        for path in (ROOT / folder).rglob("*"):
            if (
                path.suffix in {".tf", ".yaml", ".yml", ".py", ""}
                and path.is_file()
                and ".terraform" not in path.parts
            ):
                named |= set(re.findall(r"\bREPARTEE_[A-Z0-9_]*[A-Z0-9]\b", path.read_text(errors="ignore")))
    assert named - known == set()
