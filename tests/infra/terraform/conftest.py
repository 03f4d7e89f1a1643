"""Terraform's files, parsed, and the table of what the providers' resources take.

Knows HCL and nothing of AWS. `provider_schema.json` lists, for each resource and data source that we use, the
arguments (nested blocks as objects, required ones with a "!") and the attributes that the providers' own schemas
had in the versions it names, with their types.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

import hcl2
import pytest

ROOT = Path(__file__).resolve().parents[3]
TERRAFORM = ROOT / "terraform"


@dataclass(frozen=True)
class Resource:
    """One resource or data source as written: where, of which kind ("resource" or "data"), with which body."""

    file: Path
    kind: str
    type: str
    name: str
    body: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}: {self.type}.{self.name}"


def unquote(text: str) -> str:
    """`"a"` to `a`: the parser leaves HCL's quotes on."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def read_resources(folder: Path) -> Iterator[Resource]:
    for file in sorted(folder.glob("*.tf")):
        document = hcl2.loads(file.read_text())
        for kind in ("resource", "data"):
            for entry in document.get(kind, []):
                for type_, named in entry.items():
                    for name, body in named.items():
                        if isinstance(body, dict):
                            yield Resource(file, kind, unquote(type_), unquote(name), body)


@pytest.fixture(scope="session")
def modules() -> dict[Path, list[Resource]]:
    """Every folder with Terraform files, and the resources and data sources in it."""
    folders = sorted({file.parent for file in TERRAFORM.rglob("*.tf") if ".terraform" not in file.parts})
    return {folder: list(read_resources(folder)) for folder in folders}


@pytest.fixture(scope="session")
def resources(modules: dict[Path, list[Resource]]) -> list[Resource]:
    return [resource for module in modules.values() for resource in module]


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(__file__).with_name("provider_schema.json").read_text())
    return document


@dataclass(frozen=True)
class Terraform:
    """The terraform program, kept from asking, colouring and reaching the network."""

    program: str

    def run(
        self, folder: Path, *arguments: str, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        surroundings = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
        surroundings |= {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"} | (env or {})
        return subprocess.run(
            [self.program, *arguments],
            check=False,
            cwd=folder,
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture(scope="session")
def terraform() -> Terraform:
    program = which("terraform")
    if program is None:
        pytest.skip("terraform is not installed: its own checks and the modules' tests did not run")
    return Terraform(program)
