"""The README's commands, run as they stand there."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import CHECKOUT, Ran, clean_environment

README = (CHECKOUT / "README.md").read_text("utf-8")
BLOCKS = [block.split("```")[0] for block in README.split("```sh\n")[1:]]


def _block_with(word: str) -> str:
    (block,) = [block for block in BLOCKS if word in block]
    return block


def _shell(script: str, home: Path) -> str:
    bin_ = Path(sys.executable).parent
    done = subprocess.run(
        ["sh", "-e", "-c", script.replace(".venv/bin/", f"{bin_}{os.sep}")],
        cwd=CHECKOUT,
        env=clean_environment(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_looking_at_the_data(small_round: Ran) -> None:
    script = _block_with("FROM rejections").replace(
        "data/autoif.duckdb", str(small_round.home / "autoif.duckdb")
    )
    shown = _shell(script, small_round.home)
    assert "instruction" in shown
    assert "low_accuracy" in shown


def test_a_pair_is_explained(small_round: Ran) -> None:
    script = _block_with("autoif explain").replace(
        "data/autoif.duckdb", str(small_round.home / "autoif.duckdb")
    )
    shown = _shell(script, small_round.home)
    assert shown.startswith("pair par_")
    assert "released_pairs" in shown


def test_verifying_from_the_shell(home: Path) -> None:
    assert (
        _shell(_block_with("autoif verify"), home)
        == '{"verdicts": ["TRUE", "FALSE"], "detail": null}\n'
    )


def test_the_targets_it_names_exist() -> None:
    makefile = (CHECKOUT / "Makefile").read_text("utf-8")
    for target in ("demo", "ui", "test"):
        assert f"make {target}" in README
        assert f"\n{target}:" in makefile


def test_links_lead_somewhere() -> None:
    for part in README.split("](")[1:]:
        target = part.split(")")[0]
        if not target.startswith("http"):
            assert (CHECKOUT / target).exists(), target
