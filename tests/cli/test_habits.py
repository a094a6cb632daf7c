"""What people expect of a program: version, completion, exit codes that are documented, hooks that run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from akd_cli.execute import FILES
from schemas.artifact import AKD_VERSION, read_header
from tests.cli.test_commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program as a shell calls it."""
    surroundings = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", **environment}
    return subprocess.run([sys.executable, "-m", "akd_cli", *arguments], cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=120)


def test_version(akd):
    result = akd("--version")
    assert result.code == 0 and re.fullmatch(rf"akd ({re.escape(AKD_VERSION)}|\(not installed\))\n", result.out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_of_every_common_shell(shell):
    shown = program("--show-completion", shell)
    assert shown.returncode == 0 and f"_AKD_COMPLETE=complete_{shell}" in shown.stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("akd di", {"distill"}),
        ("akd distill --guid", {"--guidance-scale"}),
        ("akd rig --limits ", {"anatomy", "free"}),
        ("akd rig --limits f", {"free"}),
        ("akd prior tr", {"train"}),
    ],
)
def test_completion_offers_commands_flags_and_values(words, offered):
    found = program(_AKD_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1))
    assert set(found.stdout.split()) == offered, found.stderr


def test_completion_is_installed_at_home(tmp_path):
    done = program("--install-completion", "bash", HOME=str(tmp_path))
    assert done.returncode == 0 and (tmp_path / ".bash_completions/akd.sh").is_file()


def test_every_exit_code_is_documented(akd):
    table = (ROOT / "docs/json.md").read_text().split("## Exit codes")[1].split("##")[0]
    code = {int(number) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.M) for number in row.split(",")}
    assert code == {0, 1, 2, 129, 130, 141, 143}
    assert akd("status").code == 2 and akd("doctor").code == 0


def test_every_command_has_json_and_quiet():
    for name, command in COMMANDS.items():
        flags = {flag for one in command.params for flag in one.opts}
        assert {"--json", "--quiet"} <= flags, name


def test_commit_hooks_run_what_the_environment_has():
    hooks = [hook for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"] for hook in repo["hooks"] if repo["repo"] == "local"]
    assert {hook["id"] for hook in hooks} == {"ruff", "ruff-format", "house", "reference"}
    assert all(hook["language"] == "system" and hook["entry"].startswith(".venv/bin/") for hook in hooks), "nothing is fetched"


def test_files_given_by_hand_are_kept_when_a_stage_runs_for_another(akd, ran):
    flags = {"rig": "--skeleton", "skin": "--weights", "splat": "--splats"}
    assert set(FILES) == set(flags)
    for stage, (name,) in FILES.items():
        Path(f"{name}.bin").write_bytes(b"mine")
        assert akd(stage, "tiger", flags[stage], f"{name}.bin").code == 0
    Path("splats.bin").write_bytes(b"mine, edited")
    assert akd("asset", "--length", "2").code == 0 and akd("distill", "-p", "a tiger walking").code == 0
    for stage, (name,) in FILES.items():
        assert read_header(f"runs/tiger/{stage}.h5").inputs[name]["path"] == f"{name}.bin"
