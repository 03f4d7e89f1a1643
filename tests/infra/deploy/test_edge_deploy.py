"""The edge's deployment with wrangler itself, against a stand-in of Cloudflare's API."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cloudflare import cloudflare
from .cloudflare_account import Account
from .conftest import Clone

SECRETS = {"REPARTEE_API_KEY": "shop:sk-of-the-tests", "REPARTEE_TICKET_KEY": "t" * 48}
WORKER = "repartee-edge"


@pytest.fixture
def account() -> Iterator[Account]:
    """An empty account, but for the name that its Workers have under workers.dev."""
    with cloudflare() as made:
        made.subdomain = "tests"
        yield made


def secrets_file(clone: Clone, **values: str) -> str:
    path = clone.folder / "secrets.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in (values or SECRETS).items()))
    return str(path)


def test_the_first_deploy_brings_the_secrets_along(clone: Clone, account: Account) -> None:
    done = clone.wrangler("deploy", "--secrets-file", secrets_file(clone), account=account)
    assert done.returncode == 0, done.stdout + done.stderr
    worker = account.scripts[WORKER]
    assert worker.secrets == SECRETS
    assert worker.workers_dev and worker.crons == ["* * * * *"] and worker.deployed
    assert {"python_modules/jwt/__init__.py", "python_modules/workers/__init__.py"} <= set(worker.modules)
    assert f"{WORKER}.tests.workers.dev" in done.stdout


def test_later_deploys_keep_the_secrets_and_one_can_be_changed(clone: Clone, account: Account) -> None:
    assert clone.wrangler("deploy", "--secrets-file", secrets_file(clone), account=account).returncode == 0
    again = clone.wrangler("deploy", account=account)
    assert again.returncode == 0, again.stdout + again.stderr
    worker = account.scripts[WORKER]
    assert worker.secrets == SECRETS and len(worker.deployed) == 2
    assert list(account.namespaces.values()) == ["repartee-edge-reports"], "one namespace, used again"
    only = secrets_file(clone, REPARTEE_API_KEY="shop:sk-other")
    assert clone.wrangler("deploy", "--secrets-file", only, account=account).returncode == 0
    assert worker.secrets == SECRETS | {"REPARTEE_API_KEY": "shop:sk-other"}


def test_without_its_secrets_a_worker_does_not_come_into_being(clone: Clone, account: Account) -> None:
    """What made the order of old fail: deploy first, secrets then."""
    done = clone.wrangler("deploy", account=account)
    assert done.returncode != 0 and "REPARTEE_TICKET_KEY" in done.stderr and not account.scripts
    half = secrets_file(clone, REPARTEE_API_KEY="shop:sk-of-the-tests")
    done = clone.wrangler("deploy", "--secrets-file", half, account=account)
    assert done.returncode != 0 and not account.scripts


@pytest.mark.parametrize("all_given", [False, True])
def test_a_secret_put_before_the_first_deploy_makes_an_empty_worker(
    clone: Clone, account: Account, all_given: bool
) -> None:
    """What docs/operations.md warns of: it answers no call, and the deploy after it wants what is missing."""
    done = clone.wrangler("secret", "put", "REPARTEE_API_KEY", account=account, stdin="shop:sk-of-the-tests")
    assert done.returncode == 0, done.stdout + done.stderr
    worker = account.scripts[WORKER]
    assert worker.secrets == {"REPARTEE_API_KEY": "shop:sk-of-the-tests"}
    assert list(worker.modules.values()) == [b"export default { fetch() {} }"]
    if all_given:
        done = clone.wrangler("deploy", "--secrets-file", secrets_file(clone), account=account)
        assert done.returncode == 0, done.stdout + done.stderr
        assert worker.secrets == SECRETS and "entry.py" in worker.modules
    else:
        done = clone.wrangler("deploy", account=account)
        assert done.returncode != 0 and "REPARTEE_TICKET_KEY" in done.stderr
        assert "entry.py" not in worker.modules


@pytest.mark.parametrize("case", ["token", "namespace", "zone"])
def test_the_stand_in_refuses_what_cloudflare_refuses(clone: Clone, account: Account, case: str) -> None:
    options = ["--secrets-file", secrets_file(clone)]
    config, token = clone.folder / "wrangler.toml", "another-token"
    if case == "namespace":
        config.write_text(config.read_text().replace('"REPORTS"', f'"REPORTS"\nid = "{"0" * 32}"'))
    if case == "zone":
        options += ["--domain", "voice.example.org"]
    if case == "token":
        done = clone.wrangler("deploy", *options, account=account, token=token)
    else:
        done = clone.wrangler("deploy", *options, account=account)
    words = {"token": "Invalid API Token", "namespace": "not found", "zone": "Could not find zone"}
    assert done.returncode != 0 and words[case] in done.stdout + done.stderr
    assert case == "zone" or not account.scripts


def test_a_fresh_clone_vendors_what_the_worker_imports(clone: Clone) -> None:
    assert not (clone.folder / "python_modules").exists()
    done = clone.wrangler("deploy", "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Vendored Modules" in done.stdout
    for package in ("jwt", "workers"):
        assert (clone.folder / "python_modules" / package / "__init__.py").exists()


def test_where_nothing_can_be_vendored_a_deploy_refuses(clone: Clone, account: Account) -> None:
    """No .venv, no packages, no network: exit status 1, nothing uploaded, and a sentence that says what to do."""
    for command in (["deploy", "--dry-run"], ["deploy", "--secrets-file", secrets_file(clone)]):
        env = {"PATH": f"{bare_python(clone)}:{clone.env['PATH']}", "PIP_NO_INDEX": "1"}
        done = clone.wrangler(*command, account=account, **env)
        assert done.returncode != 0
        assert "could not be vendored" in done.stdout and "make check" in done.stdout
        assert not account.requests and not (clone.folder / "python_modules").exists()


def test_what_was_vendored_half_or_in_an_old_version_is_vendored_again(clone: Clone) -> None:
    tool = [sys.executable, "tools/vendor_edge.py"]

    def vendor() -> str:
        return subprocess.run(tool, cwd=clone.folder, check=True, capture_output=True, text=True).stdout

    assert "pyjwt" in vendor() and vendor() == "", "once is enough"
    shutil.rmtree(clone.folder / "python_modules" / "jwt")
    assert "pyjwt" in vendor()
    record = clone.folder / ".venv-workers" / "vendored.json"
    record.write_text(record.read_text().replace('"pyjwt": "', '"pyjwt": "0.'))
    assert "pyjwt" in vendor()


def bare_python(clone: Clone) -> Path:
    """A folder whose python3 has none of our packages."""
    folder = clone.folder.parent / "bare"
    if not folder.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin"
