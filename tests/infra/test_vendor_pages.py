"""Each company whose key is needed has a page in the documentation that says what an operator has to know of it."""

from pathlib import Path

import pytest

from repartee.errors import ProviderError
from repartee.pool.faults import remedy
from repartee.providers.vendor import Account
from repartee.providers.vendors import ACCOUNTS, VENDORS

DOCS = Path(__file__).parents[2] / "docs"
PARTS = ("## Keys and permissions", "## Regional hosts", "## Limits", "## When it fails")


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: str(account.name))
def test_each_has_a_page_with_every_part(account: Account) -> None:
    text = (DOCS / "vendors" / f"{account.name}.md").read_text(encoding="utf-8")
    places = [text.index(f"\n{part}\n") for part in PARTS]
    assert places == sorted(places)
    parts = dict(
        zip(PARTS, (text[a:b] for a, b in zip(places, [*places[1:], len(text)], strict=True)), strict=True)
    )
    assert account.key_variable in parts[PARTS[0]]
    assert account.url_variable in parts[PARTS[1]]
    assert (
        account.base_url.removesuffix("/v1") in text or account.base_url.split("//")[1].split("/")[0] in text
    )
    kinds = {vendor.kind.variable for vendor in VENDORS if vendor.account is account}
    assert any(variable in text for variable in kinds)
    assert "fail-over" in parts[PARTS[3]] or "#when-it-fails" in parts[PARTS[3]]


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: str(account.name))
def test_operations_links_to_it(account: Account) -> None:
    assert f"(vendors/{account.name}.md)" in (DOCS / "operations.md").read_text(encoding="utf-8")


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
