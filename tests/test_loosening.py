"""A loosened threshold asks the model for what it newly lets in, and for nothing else."""

import shutil
from pathlib import Path

from tests.conftest import SMALL, Ran, run_autoif

LOOSE = {
    "AUTOIF__VERIFICATION__FUNCTION_ACCURACY": "0.2",
    "AUTOIF__VERIFICATION__SIDE_ACCURACY": "0.0",
}
_ASKED = "SELECT stage, count(*) FROM generations GROUP BY stage"


def _ids(ran: Ran, table: str, column: str) -> set[str]:
    return {str(found) for (found,) in ran.query(f"SELECT {column} FROM {table}")}


def test_loosening_asks_only_for_what_it_lets_in(small_round: Ran, home: Path) -> None:
    shutil.copytree(small_round.home, home)
    ran = run_autoif(home, "demo", **SMALL | LOOSE)
    assert ran.code == 0, ran.err
    before, after = dict(small_round.query(_ASKED)), dict(ran.query(_ASKED))
    asked = {stage: int(str(n)) - int(str(before[stage])) for stage, n in after.items()}
    old = _ids(small_round, "verified_functions", "function_id")
    functions = _ids(ran, "verified_functions", "function_id") - old
    prompts = _ids(ran, "reconstructed_queries", "prompt_id") - _ids(
        small_round, "reconstructed_queries", "prompt_id"
    )
    assert functions
    # Each is put into words, and compared; of a few a second time, where no reply could be read.
    assert 2 * len(functions) <= asked["back_translations"] <= 3 * len(functions)
    assert asked["augmented_instructions"] == asked["verifier_candidates"] == 0
    per_prompt = int(str(ran.query("SELECT max(sample_index) + 1 FROM responses")[0][0]))
    assert asked["responses"] == per_prompt * len(prompts)
