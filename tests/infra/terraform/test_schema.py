"""Every argument, block and reference in terraform/ exists in the providers' schemas, and every region is said."""

import re
from pathlib import Path
from typing import Any

from .conftest import Resource, unquote

# Terraform's own, on any resource.
META = {"count", "for_each", "depends_on", "lifecycle", "provider", "timeouts"}


def faults(body: dict[str, Any], allowed: dict[str, Any], where: str) -> list[str]:
    """What `body` has that `allowed` hasn't, and what it lacks, one sentence each."""
    known = {name.removesuffix("!"): inner for name, inner in allowed.items()}
    found = []
    body = {**body, **dynamic_blocks(body)}
    for name, value in body.items():
        if name.startswith("__") or name == "dynamic":
            continue
        if name not in known:
            found.append(f"{where} has no argument {name}")
        elif is_block(value):
            if not isinstance(known[name], dict):
                found.append(f"{where}.{name} is an argument, not a block")
            else:
                found += [fault for inner in value for fault in faults(inner, known[name], f"{where}.{name}")]
    required = {name.removesuffix("!") for name in allowed if name.endswith("!")}
    return found + [f"{where} needs {name}" for name in sorted(required - body.keys())]


def dynamic_blocks(body: dict[str, Any]) -> dict[str, Any]:
    """The blocks that `dynamic` makes one of for each of something, as if each were there once."""
    return {
        unquote(name): block["content"] for each in body.get("dynamic", []) for name, block in each.items()
    }


def is_block(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, dict) and v.get("__is_block__") for v in value)
    )


def test_every_argument_exists(resources: list[Resource], schema: dict[str, Any]) -> None:
    assert len(resources) > 40
    found = []
    for resource in resources:
        known = schema[resource.kind].get(resource.type)
        if known is None:
            found.append(f"{resource} is not in provider_schema.json")
            continue
        body = {name: value for name, value in resource.body.items() if name not in META}
        found += faults(body, known["arguments"], str(resource))
    assert found == []


def test_the_lint_finds_what_is_wrong() -> None:
    allowed = {"name!": "string", "rule": {"port!": "number"}}
    body = {"rule": [{"__is_block__": True, "prot": 1}], "nome": 1}
    assert faults(body, allowed, "x") == [
        "x.rule has no argument prot",
        "x.rule needs port",
        "x has no argument nome",
        "x needs name",
    ]


def test_every_regional_resource_says_its_region(resources: list[Resource], schema: dict[str, Any]) -> None:
    takes_region = [r for r in resources if "region" in schema[r.kind][r.type]["arguments"]]
    assert len(takes_region) > 25
    assert [str(r) for r in takes_region if "region" not in r.body] == []


def test_regions_module_uses_the_region_that_it_was_given(modules: dict[Path, list[Resource]]) -> None:
    module = next(found for folder, found in modules.items() if folder.name == "region")
    assert [str(r) for r in module if r.body["region"] != "${local.region}"] == []


def test_every_reference_leads_somewhere(modules: dict[Path, list[Resource]], schema: dict[str, Any]) -> None:
    found = []
    for folder, resources in modules.items():
        declared = {(r.kind, r.type, r.name) for r in resources}
        for file in sorted(folder.glob("*.tf")):
            text = re.sub(r"(?m)#.*$", "", file.read_text())
            pattern = r"\b(data\.)?((?:aws|cloudflare)_\w+)\.(\w+)(?:\[[^\]]*\])?(?:\.(\w+))?"
            for data, type_, name, attribute in re.findall(pattern, text):
                kind = "data" if data else "resource"
                here = f"{file.name}: {data}{type_}.{name}"
                if (kind, type_, name) not in declared:
                    found.append(f"{here} is declared nowhere")
                elif attribute:
                    known = schema[kind][type_]
                    names = {n.removesuffix("!") for n in known["arguments"]} | set(known["attributes"])
                    if attribute not in names:
                        found.append(f"{here} has no attribute {attribute}")
    assert found == []
