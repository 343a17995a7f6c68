"""Every asset tells what it holds: grain, kinds, group, columns, how many rows, and checks."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from autoif_dagster.definitions import defs
from autoif_dagster.records import TABLES
from tests.conftest import CHECKOUT, Ran

GRAPH = defs.resolve_asset_graph()
KEYS = sorted(GRAPH.get_all_asset_keys())
PAGE = CHECKOUT / "docs/metadata.md"


@pytest.fixture(scope="module")
def instance(small_round: Ran) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(small_round.home / "dagster")) as opened:
        yield opened


def lacks(graph: AssetGraph, key: dg.AssetKey, instance: dg.DagsterInstance) -> list[str]:
    """What one misses who looks at an asset after a round. A file that somebody brings is no table:
    it has neither columns nor rows here."""
    node = graph.get(key)
    told = {
        "grain": (node.description or "").startswith(("One row per", "One line per")),
        "kinds": bool(node.kinds),
        "group": node.group_name not in (None, "default"),
    }
    if node.is_materializable:
        schema = node.metadata.get("dagster/column_schema")
        event = instance.get_latest_materialization_event(key)
        shown = (
            event.asset_materialization.metadata if event and event.asset_materialization else {}
        )
        counts = [v.value for k, v in shown.items() if k.endswith("row_count")]
        check_keys = graph.get_check_keys_for_assets({key})
        results = instance.event_log_storage.get_latest_asset_check_execution_by_key(
            list(check_keys)
        )
        told |= {
            "code version": bool(node.code_version),
            "schema": bool(schema) and all(c.description for c in schema.columns),
            "row count": any(isinstance(count, int) for count in counts),
            "preview": "preview" in shown,
            "check": bool(check_keys),
            "check result": set(results) == check_keys,
        }
    return [name for name, there in told.items() if not there]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.to_user_string())
def test_every_asset_tells_what_it_holds(key: dg.AssetKey, instance: dg.DagsterInstance) -> None:
    assert lacks(GRAPH, key, instance) == []


def test_an_asset_that_tells_nothing_is_named() -> None:
    """The test above can fail, for each of its reasons."""

    @dg.asset
    def silent() -> None:
        """Rows of some kind."""

    graph = dg.Definitions(assets=[silent, dg.AssetSpec("file")]).resolve_asset_graph()
    with dg.DagsterInstance.ephemeral() as empty:
        outside = lacks(graph, dg.AssetKey("file"), empty)
        inside = lacks(graph, dg.AssetKey("silent"), empty)
    assert outside == ["grain", "kinds", "group"]
    assert inside == [*outside, "code version", "schema", "row count", "preview", "check"]


@pytest.mark.parametrize("table", TABLES)
def test_the_schema_is_the_table(table: str) -> None:
    schema = GRAPH.get(dg.AssetKey(table)).metadata["dagster/column_schema"]
    columns = TABLES[table].columns
    assert [(c.name, c.type) for c in schema.columns] == [(c.name, c.type) for c in columns]


def test_the_page_names_all_metadata_and_checks(instance: dg.DagsterInstance) -> None:
    """All that a small round shows."""
    page = PAGE.read_text("utf-8")
    names = {check.name for check in GRAPH.asset_check_keys}
    for key in GRAPH.materializable_asset_keys:
        event = instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.asset_materialization is not None
        names |= event.asset_materialization.metadata.keys()
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def test_pictures_are_shown(instance: dg.DagsterInstance) -> None:
    shown = {
        (table, name)
        for table in TABLES
        if TABLES[table].per_round
        and (event := instance.get_latest_materialization_event(dg.AssetKey(table)))
        and event.asset_materialization
        for name, value in event.asset_materialization.metadata.items()
        if str(value.value).startswith(f"![{name}](data:image/png;base64,")
    }
    assert shown == {
        ("augmented_instructions", "kinds_of_constraint"),
        ("verified_functions", "accuracies"),
        ("verified_instructions", "kinds_of_constraint"),
        ("quality_scores", "scores"),
        ("filtered_responses", "accuracies"),
        ("sft_dataset", "funnel"),
        ("dpo_pairs", "funnel"),
    }
