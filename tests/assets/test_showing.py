"""What a step tells Dagster beside its table: checks that warn, and pictures it can do without."""

import logging
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.backtranslation import verified_instructions
from autoif_dagster import plots
from autoif_dagster.home import open_home
from autoif_dagster.lake import Lake
from autoif_dagster.partitions import rounds
from autoif_dagster.records import TABLES
from autoif_dagster.resources import RESOURCES
from tests.sql.tables import row

ROUND = "r0001"
SIDES = [(True, False)] * 8 + [(True,), (False,)]  # what the kept cases of an instruction expect


@pytest.fixture
def instance(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Of a home in which a round stands up to its faithful functions."""
    monkeypatch.setenv("AUTOIF_HOME", str(home))
    with Lake(open_home(home, "simulated")).session(ROUND, foreign=TABLES) as session:
        session.write_rows(
            "augmented_instructions",
            [
                row("augmented_instructions", instruction_id=f"ins_{n}", candidate_id=f"cnd_{n}")
                for n in range(len(SIDES))
            ],
        )
        session.write_rows(
            "verified_cases",
            [
                row(
                    "verified_cases",
                    candidate_id=f"cnd_{n}_{expected}",
                    case_id=f"cas_{n}_{expected}",
                    instruction_id=f"ins_{n}",
                    case_expected=expected,
                )
                for n, sides in enumerate(SIDES)
                for expected in sides
            ],
        )
        session.write_rows(
            "verified_functions",
            [
                row(
                    "verified_functions",
                    candidate_id=f"cnd_{n}",
                    function_id=f"fun_{n}",
                    instruction_id=f"ins_{n}",
                )
                for n in range(len(SIDES))
            ],
        )
        session.write_rows(
            "faithful_functions",
            [
                row("faithful_functions", function_id=f"fun_{n}", instruction_id=f"ins_{n}")
                for n in range(len(SIDES))
            ],
        )
    with dg.DagsterInstance.ephemeral() as opened:
        opened.add_dynamic_partitions(str(rounds.name), [ROUND])
        yield opened


def materialize(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [verified_instructions], partition_key=ROUND, instance=instance, resources=RESOURCES
    )


def sides(done: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    evaluations = done.get_asset_check_evaluations()
    return next(e for e in evaluations if e.check_name == "cases_on_both_sides")


def test_a_check_warns_names_ids_and_stops_nothing(instance: dg.DagsterInstance) -> None:
    done = materialize(instance)
    assert done.success
    check = sides(done)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    shown = {name: value.value for name, value in check.metadata.items()}
    assert shown == {
        "offenders": "- `ins_8`\n- `ins_9`",
        "offending": 2,
        "round": "r0001",
        "share": 0.2,
        "threshold": 0.2,
    }
    assert check.description
    assert check.description.startswith("20.0% of 10 are instructions")
    (made,) = done.asset_materializations_for_node("verified_instructions")
    assert made.metadata["one_sided_share"].value == 0.2


def test_a_threshold_is_the_recipes_when_the_check_runs(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOIF__CHECKS__ONE_SIDED", "0.21")
    assert sides(materialize(instance)).passed


def test_a_picture_that_cannot_be_drawn_loses_no_table(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    (drawn,) = materialize(instance).asset_materializations_for_node("verified_instructions")
    assert "kinds_of_constraint" in drawn.metadata

    def out_of_paint(*_: object) -> bytes:
        raise MemoryError("out of paint")

    monkeypatch.setattr(plots, "bars", out_of_paint)
    done = materialize(instance)
    (made,) = done.asset_materializations_for_node("verified_instructions")
    assert made.metadata.keys() == drawn.metadata.keys() - {"kinds_of_constraint"}
    warned = [
        entry.user_message
        for entry in instance.all_logs(done.run_id)
        if entry.level == logging.WARNING
    ]
    assert [text for text in warned if "out of paint" in text] == [
        "verified_instructions: no picture of kinds_of_constraint: MemoryError('out of paint')"
    ]
