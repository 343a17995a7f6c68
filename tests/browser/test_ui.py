"""A user's first hour, by click: a round, what it made, where it came from, what a changed
threshold puts out of date. In this order, on one home: each test goes on where the one before it
ended, as the user does."""

from playwright.sync_api import expect

from tests.browser.conftest import Project
from tests.browser.ui import UI

FIRST, SECOND = "r0001", "r0002"


def test_a_round_is_added_and_run_from_the_graph(ui: UI, project: Project) -> None:
    ui.open_graph()
    ui.button("Materialize all").click()
    ui.button("Add a partition").click()
    ui.page.get_by_placeholder("name").fill(FIRST)
    ui.page.get_by_role("button", name="Save", exact=True).click()
    ui.button("Launch 1 run").click()
    ui.page.get_by_text("View").click()
    ended = project.server.finished(project.server.runs()[0]["runId"])
    assert ended == "SUCCESS"
    expect(ui.text("Success").first).to_be_visible()
    ui.picture("run")
    # What a later test looks at, made while the user looks around.
    project.server.add_round(SECOND)
    project.server.launch("synthesize", tags={"dagster/partition": SECOND})


def test_filtered_responses_show_what_they_are(ui: UI) -> None:
    ui.open_asset("filtered_responses", "partitions", partition=FIRST)
    expect(ui.text("Materialized")).to_be_visible()
    ui.picture("filtered_responses")
    row = ui.page.get_by_role("row").filter(has_text="preview")
    row.get_by_text("[Show Markdown]").click()
    preview = ui.page.get_by_role("dialog").get_by_role("table")
    expect(preview.get_by_role("columnheader", name="response", exact=True)).to_be_visible()
    expect(preview.get_by_role("row")).to_have_count(6)
    ui.picture("preview")
    ui.page.keyboard.press("Escape")


def test_filtered_responses_were_checked(ui: UI) -> None:
    ui.open_asset("filtered_responses", "checks")
    for check in ("has_rows", "accounted_for"):
        ui.page.get_by_role("link", name=check).click()
        expect(ui.text("Passed")).to_be_visible()
    ui.picture("checks")


def test_pairs_lead_back_to_the_seeds(ui: UI) -> None:
    ui.open_asset("dpo_pairs", "overview")
    for upstream in ("verified_instructions", "augmented_instructions", "seed_instructions"):
        ui.page.get_by_role("link", name=upstream, exact=True).click()
        expect(ui.text("Upstream assets")).to_be_visible()
        expect(ui.page).to_have_url(f"{ui.url}/assets/{upstream}")


def test_a_changed_threshold_puts_what_it_shapes_out_of_date(ui: UI, project: Project) -> None:
    second = next(r for r in project.server.runs() if r["tags"]["dagster/partition"] == SECOND)
    assert project.server.finished(second["runId"]) == "SUCCESS"
    project.set("quality", min_score=9.0)
    ui.open_graph()
    ui.button("Reload definitions").click()
    expect(ui.text("Definitions reloaded!")).to_be_visible()
    for asset, out_of_date in {"filtered_responses": True, "sft_dataset": False}.items():
        for key in (FIRST, SECOND):
            assert _is_unsynced(ui, asset, key) == out_of_date, (asset, key)
    ui.picture("unsynced")


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
