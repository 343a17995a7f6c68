"""A user's first hour, by click: a round, what it made, where that came from, what a changed
threshold puts out of date, and what runs by itself. In this order, on one home: each test goes on
where the one before it ended, as the user does."""

import pytest

pytest.importorskip("playwright", reason="needs Playwright: make test-browser")

from playwright.sync_api import expect

from tests.browser.conftest import Project
from tests.browser.ui import UI

FIRST, SECOND = "r0001", "r0002"
CHECKS = {
    "has_rows": "The table has at least one kept row.",
    "accounted_for": "Kept and rejected rows add up to the candidates counted upstream. "
    "Asserted before the table is published; shown here.",
}
AUTOMATIONS = ("nightly_round", "reach_target", "refresh", "watch_inputs")


def test_a_round_is_added_and_run_from_the_graph(ui: UI, project: Project) -> None:
    ui.open_graph()
    with ui.rounds_known():
        ui.button("Materialize all").click()
    ui.button("Add a partition").click()
    ui.page.get_by_placeholder("name").fill(FIRST)
    with ui.rounds_known():
        ui.button("Save").click()
    assert project.server.finished(ui.launch("Launch 1 run")) == "SUCCESS"
    expect(ui.text("Success").first).to_be_visible()
    ui.open_graph()
    expect(ui.text("verification").last).to_be_visible()


def test_filtered_responses_show_what_they_are(ui: UI) -> None:
    ui.open_asset("filtered_responses", "partitions", partition=FIRST)
    expect(ui.text("Materialized")).to_be_visible()
    ui.metadata("accuracies").click()
    plot = ui.page.get_by_role("dialog").get_by_alt_text("accuracies")
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.naturalWidth") > 100
    ui.picture("accuracies", of=ui.page.get_by_role("dialog"))
    ui.close_dialog()
    ui.metadata("preview").click()
    preview = ui.page.get_by_role("dialog").get_by_role("table")
    expect(preview.get_by_role("columnheader", name="response", exact=True)).to_be_visible()
    expect(preview.get_by_role("row")).to_have_count(6)
    ui.close_dialog()


def test_filtered_responses_were_checked(ui: UI) -> None:
    ui.open_asset("filtered_responses", "checks")
    for check, says in CHECKS.items():
        ui.text(check).filter(visible=True).first.click()
        expect(ui.text(says)).to_be_visible()
        expect(ui.text("Passed").first).to_be_visible()
    for check in ("accuracies_vary", "few_duplicates", "usual_yield"):
        expect(ui.text(check).filter(visible=True)).to_be_visible()
    ui.picture("checks")


def test_the_lineage_shows_what_is_around(ui: UI) -> None:
    ui.open_asset("filtered_responses", "lineage", lineageScope="neighbors")
    for neighbour in ("quality_scores", "dpo_pairs"):
        expect(ui.text(neighbour).last).to_be_visible()
    ui.picture("lineage")


def test_pairs_lead_back_to_the_seeds(ui: UI, project: Project) -> None:
    # A round for the next test, made while the user looks around.
    project.server.add_round(SECOND)
    project.server.launch("synthesize", tags={"dagster/partition": SECOND})
    ui.open_asset("dpo_pairs", "overview")
    for upstream in ("verified_instructions", "augmented_instructions", "seed_instructions"):
        ui.page.get_by_role("link").filter(has_text=upstream).first.click()
        ui.page.wait_for_url(f"{ui.url}/assets/{upstream}*")
        expect(ui.text("Upstream assets")).to_be_visible()
    # What a round just read is in order.
    expect(ui.page.get_by_text("Unsynced")).to_have_count(0)


def test_a_changed_threshold_puts_what_it_shapes_out_of_date(ui: UI, project: Project) -> None:
    second = next(r for r in project.server.runs() if r["tags"]["dagster/partition"] == SECOND)
    assert project.server.finished(second["runId"]) == "SUCCESS"
    project.set("quality", min_score=9.0)
    ui.open_graph()
    ui.button("Reload definitions").click()
    expect(ui.text("Definitions reloaded!")).to_be_visible()
    assert _unsynced(ui) == {("filtered_responses", FIRST), ("filtered_responses", SECOND)}

    # Made again, one round of it is in order, and what is read from other rows now is not.
    ui.open_asset("filtered_responses", "partitions", partition=FIRST)
    with ui.rounds_known("filtered_responses"):
        ui.button("Materialize…").click()
    assert project.server.finished(ui.launch("Launch 1 run")) == "SUCCESS"
    assert _unsynced(ui) == {("filtered_responses", SECOND), ("sft_dataset", FIRST)}


def _unsynced(ui: UI) -> set[tuple[str, str]]:
    return {
        (asset, key)
        for asset in ("filtered_responses", "sft_dataset")
        for key in (FIRST, SECOND)
        if _is_unsynced(ui, asset, key)
    }


def _is_unsynced(ui: UI, asset: str, key: str) -> bool:
    """Whether the page of an asset's round says so. It asks for that by itself, after the rest."""
    with ui.page.expect_response(
        lambda response: "AssetPartitionStaleQuery" in (response.request.post_data or "")
    ) as told:
        ui.open_asset(asset, "partitions", partition=key)
    status = told.value.json()["data"]["assetNodeOrError"]["staleStatus"]
    expect(ui.text("Materialized")).to_be_visible()
    expect(ui.page.get_by_text("Unsynced")).to_have_count(int(status == "STALE"))
    return bool(status == "STALE")


def test_exports_are_written_by_click(ui: UI, project: Project) -> None:
    ui.open_asset("exports", "overview")
    assert project.server.finished(ui.launch("Materialize")) == "SUCCESS"
    ui.open_asset("exports", "overview")
    expect(ui.text("Row count")).to_be_visible()
    ui.open_asset("dataset_report", "overview")
    ui.metadata("yields_per_round").click()
    expect(ui.page.get_by_role("dialog").get_by_alt_text("yields_per_round")).to_be_visible()
    ui.picture("yields", of=ui.page.get_by_role("dialog"))
    ui.close_dialog()


def test_nothing_runs_by_itself_until_it_is_switched_on(ui: UI) -> None:
    ui.open("/automation")
    for name in AUTOMATIONS:
        expect(ui.text(name)).to_be_visible()
    switches = ui.page.locator("label").filter(has=ui.page.locator("svg #bg"))
    expect(switches).to_have_count(len(AUTOMATIONS))
    for switch in switches.all():
        expect(switch.get_by_role("checkbox")).not_to_be_checked()
    ui.text("watch_inputs").click()
    switch = ui.page.get_by_role("checkbox")
    expect(switch).not_to_be_checked()
    switch.locator("xpath=..").click()  # what is drawn is the label around it
    expect(switch).to_be_checked()
    ui.page.reload()
    expect(switch).to_be_checked()
