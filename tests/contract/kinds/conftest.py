"""Every test here runs with both kinds of call."""

import pytest
from tests.contract.kinds.call import KINDS


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """A cascade of providers, or a speech-to-speech model."""
    return str(request.param)
