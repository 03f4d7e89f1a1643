"""Another version of a library: a copy of the installed one in which some parts have other names, or are gone."""

import importlib.util
import re
import shutil
from collections.abc import Mapping
from pathlib import Path


def altered(folder: Path, package: str, renamed: Mapping[str, str]) -> Path:
    """Copy an installed package into ``folder``, with every one of these words replaced, in texts and in file names.

    The library goes on working, since it uses the other names itself. Returns the folder, for PYTHONPATH.
    """
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    copy = folder / package
    shutil.copytree(
        spec.submodule_search_locations[0],
        copy,
        ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.pyd"),
    )
    words = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in renamed))
    found: set[str] = set()
    for path in copy.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(words.findall(text))
        path.write_text(words.sub(lambda word: renamed[word[0]], text), encoding="utf-8")
        if path.stem in renamed:
            path.rename(path.with_stem(renamed[path.stem]))
    assert found == set(renamed), (
        f"{package} has no {set(renamed) - found}: what is tested here is no longer true"
    )
    return folder
