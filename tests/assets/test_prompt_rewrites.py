"""Rewriting is an option: on, every prompt has its row; off, nobody is asked."""

from pathlib import Path

import dagster as dg
import pytest

from assets.queries import prompt_rewrites
from autoif_dagster.home import open_home
from autoif_dagster.lake import Lake
from autoif_dagster.partitions import rounds
from autoif_dagster.resources import RESOURCES
from autoif_dagster.showing import HAS_ROWS
from tests.conftest import Ran


def test_every_prompt_has_a_row_and_most_are_reworded(small_round: Ran) -> None:
    prompts = {row[0] for row in small_round.query("SELECT prompt_id FROM reconstructed_queries")}
    rewrites = small_round.query("SELECT prompt_id, failure, survives FROM prompt_rewrites")
    assert {row[0] for row in rewrites} == prompts
    taken = [row for row in rewrites if row[1] is None]
    assert 0.7 * len(rewrites) < len(taken) < len(rewrites)
    assert all(survives is True for _, _, survives in taken)


def test_what_was_reworded_holds_both_parts(small_round: Ran) -> None:
    """The simulated supervisor keeps the words of what it keeps."""
    rows = small_round.query(
        "SELECT rewritten, query, instruction FROM prompt_rewrites "
        "JOIN reconstructed_queries USING (prompt_id) JOIN verified_instructions "
        "ON verified_instructions.instruction_id = reconstructed_queries.instruction_id "
        "WHERE failure IS NULL"
    )
    kept = [str(query) in str(words) and str(wish) in str(words) for words, query, wish in rows]
    assert sum(kept) > 0.98 * len(kept)  # the check itself errs now and then


def test_without_the_option_nobody_is_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOIF_HOME", str(home))
    with Lake(open_home(home, "simulated")).session("r0001") as session:
        for upstream in ("user_queries", "augmented_instructions", "verified_instructions",
                         "reconstructed_queries"):  # fmt: skip
            session.write_rows(upstream, [])
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(rounds.name), ["r0001"])
        done = dg.materialize(
            [prompt_rewrites], partition_key="r0001", instance=instance, resources=RESOURCES
        )
        (made,) = done.asset_materializations_for_node("prompt_rewrites")
        assert made.metadata["dagster/partition_row_count"].value == 0
        assert "model_calls" not in made.metadata
        (check,) = done.get_asset_check_evaluations()
        assert (check.check_name, check.passed) == (HAS_ROWS, True)
