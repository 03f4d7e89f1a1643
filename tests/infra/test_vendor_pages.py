"""Each company whose key is needed has a page in the documentation that says what an operator has to know of it."""

from pathlib import Path

import pytest

from repartee.errors import ProviderError
from repartee.pool.faults import remedy
from repartee.providers.vendor import Account, Vendor
from repartee.providers.vendors import ACCOUNTS, VENDORS

DOCS = Path(__file__).parents[2] / "docs"
PARTS = ("## Keys and permissions", "## Regional hosts", "## Limits", "## When it fails")


PAGES = sorted(path.stem for path in (DOCS / "vendors").glob("*.md"))


def page(name: str) -> str:
    return (DOCS / "vendors" / f"{name}.md").read_text(encoding="utf-8")


def is_of(name: str, vendor: Vendor) -> bool:
    """A page begins with the settings that choose what it is about."""
    head = page(name).split("\n## ")[0]
    return f"`{vendor.kind.variable}={vendor.name}`" in head


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: f"{vendor.kind.value}-{vendor.name}")
def test_each_vendor_has_one_page(vendor: Vendor) -> None:
    assert len([name for name in PAGES if is_of(name, vendor)]) == 1


@pytest.mark.parametrize("name", PAGES)
def test_each_page_has_every_part(name: str) -> None:
    text = page(name)
    vendors = [vendor for vendor in VENDORS if is_of(name, vendor)]
    [account] = {vendor.account for vendor in vendors}
    places = [text.index(f"\n{part}\n") for part in PARTS]
    assert places == sorted(places)
    parts = dict(
        zip(PARTS, (text[a:b] for a, b in zip(places, [*places[1:], len(text)], strict=True)), strict=True)
    )
    assert account.key_variable in parts[PARTS[0]]
    assert "what the doctor says" in parts[PARTS[0]]
    assert account.url_variable in parts[PARTS[1]]
    kinds = {vendor.kind.variable for vendor in vendors}
    assert any(variable in parts[PARTS[3]] for variable in kinds) or "#when-it-fails" in parts[PARTS[3]]
    assert "fail-over" in parts[PARTS[3]] or "#when-it-fails" in parts[PARTS[3]]


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: str(account.name))
def test_each_account_s_address_is_given(account: Account) -> None:
    text = page(account.name)
    assert account.base_url.split("//")[1].split("/")[0] in text


@pytest.mark.parametrize("name", PAGES)
def test_operations_links_to_it(name: str) -> None:
    assert f"(vendors/{name}.md)" in (DOCS / "operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("said", "lacks"),
    [
        ("You have insufficient permissions for this operation. Missing scopes: model.request.", True),
        ("missing_permissions: text_to_speech", True),
        ("Incorrect API key provided.", False),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_the_doctor_tells_a_missing_permission_from_a_wrong_key(status: int, said: str, lacks: bool) -> None:
    error = ProviderError(said, provider="openai", stage="llm", retryable=False, status=status)
    told = remedy("openai", error)
    assert "OPENAI_API_KEY" in told
    assert ("permission that it lacks; docs/vendors" in told) is lacks
