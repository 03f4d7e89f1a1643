"""Finds settings that nobody knows: without this, a mistyped name would do nothing and nobody would notice.
Pure."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from repartee_edge.settings import SETTING_NAMES

PREFIX = "REPARTEE_"
OTHERS = frozenset({"REPARTEE_CLIENTS", "REPARTEE_FUZZ_DATAGRAMS", "REPARTEE_REHEARSAL"})
"""Of the project's own tests, and of trying out the container image."""


def unknown_names(environment: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """A sentence for each variable that begins like ours and is none of them, with the nearest one."""
    names = {*known, *SETTING_NAMES, *OTHERS}
    faults = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in names:
            rests = [one.removeprefix(PREFIX) for one in sorted(names) if one.startswith(PREFIX)]
            near = get_close_matches(name.removeprefix(PREFIX), rests, n=1, cutoff=0.7)
            meant = (
                f"did you mean {PREFIX}{near[0]}?"
                if near
                else "docs/operations.md lists those that there are"
            )
            faults.append(f"{name}: there is no such setting; {meant}")
    return faults
