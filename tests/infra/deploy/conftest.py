"""Where the deployment's files are, and a fresh clone to deploy from."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from .cloudflare import TOKEN
from .cloudflare_account import Account

ROOT = Path(__file__).resolve().parents[3]
INFRA = ROOT / "infra"
MADE_HERE = (".git", ".venv*", "node_modules", "python_modules", "__pycache__", ".*_cache", ".hypothesis")


@dataclass(frozen=True)
class Clone:
    """The files of a fresh clone after ``npm ci``, and the environment of somebody who works in it."""

    folder: Path
    env: Mapping[str, str]

    def wrangler(
        self,
        *arguments: str,
        account: Account | None = None,
        token: str = TOKEN,
        stdin: str | None = None,
        **env: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run wrangler itself, against a stand-in of Cloudflare's API or against nothing."""
        url = account.url if account else "http://127.0.0.1:1"
        about = {"CLOUDFLARE_API_BASE_URL": url, "CLOUDFLARE_API_TOKEN": token}
        return subprocess.run(
            ["npx", "wrangler", *arguments],
            cwd=self.folder,
            env={**self.env, **about, **env},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """What is in the repository, and no more; npm's packages come from this checkout."""
    modules = ROOT / "node_modules"
    if not (modules / "wrangler").exists() or not (modules / "node").exists():
        pytest.skip("node_modules/wrangler is missing: run npm ci (Node 20 or newer) to try deployments")
    folder, home = tmp_path / "repartee", tmp_path / "home"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*MADE_HERE, ".terraform*", ".wrangler"))
    (folder / "node_modules").symlink_to(modules)
    home.mkdir()
    kept = {
        n: v for n, v in os.environ.items() if not n.startswith(("CLOUDFLARE_", "WRANGLER_", "REPARTEE_"))
    }
    path = os.pathsep.join((str(modules / "node" / "bin"), str(Path(sys.executable).parent), kept["PATH"]))
    quiet = {"CI": "1", "WRANGLER_SEND_METRICS": "false", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    return Clone(folder, {**kept, "HOME": str(home), "PATH": path, **quiet})
