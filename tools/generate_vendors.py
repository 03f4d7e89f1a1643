"""Write what cannot read the table of vendors (regional/repartee/providers/vendors.py) itself.

That is the schema of the regions file, the edge's and Terraform's check of it, and the table in docs/operations.md.

Run after a vendor was added::

    python tools/generate_vendors.py          # write
    python tools/generate_vendors.py --check  # exit 1, and say which, if a file is out of step with the table
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from repartee.providers.vendor import Vendor, VendorKind
from repartee.providers.vendors import ACCOUNTS, USUAL, VENDORS

ROOT = Path(__file__).resolve().parent.parent
KINDS = {
    VendorKind.STT: "speech recognition",
    VendorKind.LLM: "language model",
    VendorKind.TTS: "speech synthesis",
    VendorKind.SPEECH_TO_SPEECH: "speech to speech",
}


def schema_properties() -> str:
    """The keys that a region's ``providers`` may have."""
    rows = [f'            "{one.name}": {{"type": "string", "pattern": "^https?://"}}' for one in ACCOUNTS]
    return ",\n".join(rows)


def edge_tuple() -> str:
    """The same for the edge's own check."""
    return "PROVIDERS = (" + ", ".join(f'"{one.name}"' for one in ACCOUNTS) + ")"


def terraform_list() -> str:
    """The same keys for Terraform's check of the regions file."""
    return "[" + ", ".join(json.dumps(one.name) for one in ACCOUNTS) + "]"


def terraform_words() -> str:
    """And in words."""
    *first, last = [one.name for one in ACCOUNTS]
    return f'"\\"providers\\" knows {", ".join(first)} and {last};'


def docs_table() -> str:
    """The rows of the table of vendors."""
    return "\n".join(_docs_row(vendor) for vendor in VENDORS)


def _docs_row(vendor: Vendor) -> str:
    usual = " (usual)" if USUAL[vendor.kind] == vendor.name else ""
    settings = ", ".join(f"`{setting.variable}`" for setting in vendor.all_settings)
    stand_in = "no" if vendor.account.stand_in is None else "yes"
    where = f"`{vendor.kind.variable}={vendor.name}`{usual}"
    what = f"{vendor.account.label}: {KINDS[vendor.kind]}; {vendor.note}"
    return f"| {where} | {what} | {settings} | {stand_in} |"


Part = tuple[str, str, Callable[[], str]]
"""A file, a pattern whose first and last groups stay, and what stands between them."""

PARTS: tuple[Part, ...] = (
    (
        "infra/regions.schema.json",
        r'("providers": \{\s*"type": "object",\s*"additionalProperties": false,\s*"properties": \{\n)'
        r"(.*?)(\n          \},)",
        schema_properties,
    ),
    ("edge/repartee_edge/regions.py", r"(^)(PROVIDERS = \(.*?\))($)", edge_tuple),
    ("terraform/modules/fleet/variables.tf", r"(contains\()(\[[^\]]*\])(, vendor\))", terraform_list),
    ("terraform/modules/fleet/variables.tf", r'(= )("\\"providers\\" knows .*?;)( infra)', terraform_words),
    (
        "docs/operations.md",
        r"(<!-- vendors: written by tools/generate_vendors.py -->\n\|[^\n]*\n\|[^\n]*\n)(.*?)(\n<!-- /vendors -->)",
        docs_table,
    ),
)


def written(root: Path = ROOT) -> dict[Path, str]:
    """Each file as the table has it. Raises LookupError if a file has no place for that."""
    files: dict[Path, str] = {}
    for name, pattern, make in PARTS:
        path = root / name
        text = files.get(path) or path.read_text(encoding="utf-8")
        found = re.search(pattern, text, flags=re.DOTALL | re.MULTILINE)
        if not found:
            raise LookupError(f"{name} has no place for what the table of vendors says: {pattern}")
        old = f"{found[1]}{found[2]}{found[3]}"
        files[path] = text.replace(old, f"{found[1]}{make()}{found[3]}")
    return files


def main() -> None:
    """Write, or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing, exit 1 if anything would change"
    )
    checks = parser.parse_args().check
    stale = [path for path, text in written().items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        if checks:
            print(f"{path.relative_to(ROOT)} is out of step with the table of vendors: run {sys.argv[0]}")
        else:
            path.write_text(written()[path], encoding="utf-8")
    if checks and stale:
        sys.exit(1)


if __name__ == "__main__":
    main()
