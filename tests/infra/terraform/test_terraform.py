"""Terraform's own checks, as far as they go without a provider's plugin."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import TERRAFORM, Terraform

SECRETS = {
    "CARTESIA_API_KEY": "c",
    "DEEPGRAM_API_KEY": "d",
    "OPENAI_API_KEY": "o",
    "REPARTEE_TICKET_KEY": "0123456789abcdef0123456789abcdef",
}


def test_format(terraform: Terraform) -> None:
    done = terraform.run(TERRAFORM, "fmt", "-check", "-recursive", "-diff")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", ["fleet", "capacity"])
def test_pure_module(terraform: Terraform, tmp_path: Path, module: str) -> None:
    # The module reads infra/regions.json three folders up.
    folder = tmp_path / "terraform" / "modules" / module
    shutil.copytree(TERRAFORM / "modules" / module, folder, ignore=shutil.ignore_patterns(".terraform*"))
    (tmp_path / "infra").mkdir()
    shutil.copy(TERRAFORM.parent / "infra" / "regions.json", tmp_path / "infra")
    init = terraform.run(folder, "init", "-backend=false", "-input=false", "-no-color")
    assert init.returncode == 0, init.stdout + init.stderr
    done = terraform.run(folder, "test", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed." in done.stdout


@pytest.fixture(scope="module")
def variables(terraform: Terraform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root's variables alone: they need no provider to be validated."""
    folder = tmp_path_factory.mktemp("variables")
    shutil.copy(TERRAFORM / "variables.tf", folder)
    init = terraform.run(folder, "init", "-input=false", "-no-color")
    assert init.returncode == 0, init.stdout + init.stderr
    return folder


def refusal(terraform: Terraform, folder: Path, secrets: dict[str, str], *options: str) -> str:
    """What Terraform says to the example's values with `options` on top: empty if it accepts them."""
    arguments = ["plan", "-input=false", "-no-color", f"-var-file={TERRAFORM / 'example.tfvars'}", *options]
    done = terraform.run(folder, *arguments, env={"TF_VAR_secrets": json.dumps(secrets)})
    return " ".join(done.stderr.split()) if done.returncode else ""


def test_the_example_is_accepted(terraform: Terraform, variables: Path) -> None:
    assert refusal(terraform, variables, SECRETS) == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-var=image=repartee:latest"], "a tag other than latest"),
        (["-var=image=repartee"], "a tag other than latest"),
        (["-var=cloudflare_zone_id=example.com"], "32 hexadecimal digits"),
        (["-var=project=Repartee!"], "2 to 12 lower-case letters"),
        (["-var=task={cpu=1000}"], "a size that Fargate has"),
        (["-var=task={cpu=1024,memory_mib=1024}"], "here 2048 to 8192"),
        (['-var=worker_environment={"OPENAI_API_KEY"="x"}'], "Keys belong in the variable secrets"),
        (['-var=worker_environment={"TWILIO_AUTH_TOKEN"="x"}'], "Keys belong in the variable secrets"),
        (['-var=worker_environment={"VONAGE_PRIVATE_KEY"="x"}'], "Keys belong in the variable secrets"),
        (['-var=worker_environment={"EXOTEL_CREDENTIALS"="x"}'], "Keys belong in the variable secrets"),
        (
            ['-var=secret_names=["REPARTEE_TICKET_KEY","TWILIO_AUTH_TOKEN"]'],
            "secrets needs a value for each of: REPARTEE_TICKET_KEY, TWILIO_AUTH_TOKEN",
        ),
        (['-var=worker_environment={"REPARTEE_MAX_CALLS"="9"}'], "leave them out"),
        (['-var=secret_names=["OPENAI_API_KEY"]'], "must hold REPARTEE_TICKET_KEY"),
        (["-var=vpc_cidr=10.0.0.0/8"], "between /16 and /24"),
        (["-var=log_retention_days=10"], "one of the periods"),
        (['-var=alarms={"email"="nobody"}'], "is an e-mail address"),
    ],
)
def test_a_wrong_value_is_refused_in_words(
    terraform: Terraform, variables: Path, options: list[str], says: str
) -> None:
    assert says in refusal(terraform, variables, SECRETS, *options)


@pytest.mark.parametrize(
    ("secrets", "says"),
    [
        ({k: v for k, v in SECRETS.items() if k != "OPENAI_API_KEY"}, "secrets needs a value for each of"),
        (SECRETS | {"REPARTEE_TICKET_KEY": "short"}, "at least 32 characters"),
    ],
)
def test_secrets_are_checked_and_never_shown(
    terraform: Terraform, variables: Path, secrets: dict[str, str], says: str
) -> None:
    said = refusal(terraform, variables, secrets)
    assert says in said
    assert "short" not in said


def test_checkov_finds_nothing_that_is_not_explained() -> None:
    program = shutil.which("checkov")
    if program is None:
        pytest.skip("checkov is not installed (pip install checkov): its policies did not run")
    done = subprocess.run(
        [program, "--config-file", ".checkov.yaml", "--directory", "."],
        check=False,
        cwd=TERRAFORM,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout[-8000:]


def test_every_skipped_policy_gives_its_reason() -> None:
    lines = (TERRAFORM / ".checkov.yaml").read_text().splitlines()
    skipped = [line for line in lines if line.strip().startswith("- CKV")]
    assert len(skipped) > 10
    assert [line for line in skipped if len(line.partition("#")[2].split()) < 5] == []
