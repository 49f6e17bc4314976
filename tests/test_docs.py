"""What the README says exists: targets, verbs, flags, files; package names are told once."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from youku.__main__ import VERBS, main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"python -m youku ([a-z]+)([^`\n#]*)", README)


def test_make_targets_of_the_readme_exist() -> None:
    """`make X Y` in the README is answered by the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        word
        for line in re.findall(r"^make ([a-z ]+?)(?: [A-Z#].*| {2,}.*)?$", README, re.MULTILINE)
        for word in line.split()
    }
    assert {"demo", "test", "download", "train", "submission", "score", "report"} <= named <= targets


@pytest.mark.parametrize(("verb", "rest"), COMMANDS)
def test_commands_of_the_readme_parse(verb: str, rest: str, capsys: pytest.CaptureFixture) -> None:
    """Every verb and flag in the README is known to the command line."""
    assert verb in VERBS
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    out = capsys.readouterr().out
    assert all(flag in out for flag in re.findall(r"--[a-z-]+", rest))


def test_every_verb_is_in_the_readme() -> None:
    """The table of verbs is complete."""
    table = "".join(line for line in README.splitlines() if line.startswith("| `"))
    assert all(f"`{verb}`" in table for verb in VERBS)


def test_tree_of_the_readme_exists() -> None:
    """Files and folders of the annotated tree are there."""
    tree = README.split("## Where things are")[1].split("```")[1]
    top, inside = tree.split("youku/\n")
    names = [line.split()[0] for line in top.splitlines() if line.strip()]
    assert all((ROOT / name).exists() for name in names), names
    files = re.findall(r"[a-z_]+\.py|^  [a-z]+/", inside, re.MULTILINE)
    assert len(files) > 12 and all((ROOT / "youku" / name.strip()).exists() for name in files)


def test_requirements_pin_the_packages_of_pyproject() -> None:
    """The same names, each pinned exactly, within the ranges; never apex or pytorch-ssim, nor what needs torchvision."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[><=]", entry)[0].lower() for entry in wanted}
    pins = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    assert {pin.split("==")[0] for pin in pins} == names
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)
    assert not names & {"apex", "pytorch-ssim", "torchvision", "piq", "lpips"}


def test_the_dockerfile_takes_what_is_here() -> None:
    """Its torch is that of requirements.txt, and .dockerignore lets through what it copies and nothing else."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    torch = next(line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("torch=="))
    assert any(line.startswith(f"RUN pip install {torch} --index-url") for line in lines)
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == let_through and all((ROOT / name).exists() for name in copied)


def test_help_lists_every_documented_target() -> None:
    """`make help` runs without set-up and names the two main targets."""
    out = subprocess.run(["make", "help"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert all(f"make {target}" in out for target in ("demo", "test", "test-kernels"))


def test_pairs_go_where_training_looks() -> None:
    """A mistyped INTO makes no third folder that nothing reads; said before anything runs."""
    line = ["make", "--no-print-directory", "-o", "setup", "pairs", "FROM=film.mp4", "INTO=vall"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2 and done.stdout.splitlines()[-1] == "INTO=vall: expected INTO=train or INTO=val"


def test_no_data_or_large_file_is_in_git() -> None:
    """Nothing over 3 MB is tracked."""
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False, cwd=ROOT)
    tracked = [ROOT / name for name in listed.stdout.splitlines()]
    assert all(path.stat().st_size < 3e6 for path in tracked if path.exists())


@pytest.mark.parametrize("name", ["README.md", "benchmarks/RESULTS.md", "submissions/README.md"])
def test_links_and_figures_are_filled_in(name: str) -> None:
    """No placeholder is left, and every relative link and picture is a file."""
    path = ROOT / name
    text = path.read_text()
    assert not re.search(r"@[A-Z]+@|TODO", text)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert all((path.parent / link).exists() for link in links), links
