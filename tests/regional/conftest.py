"""What tests of several parts share."""

from collections.abc import Iterator

import pytest
from tests.regional.store.cluster import Cluster, cluster, programs


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A PostgreSQL for this run."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with cluster() as running:
        yield running
