"""Everything Dagster loads: the only module that imports the graph."""

import dagster as dg

import assets
from autoif_dagster.resources import RESOURCES

synthesize = dg.define_asset_job(
    "synthesize",
    selection=dg.AssetSelection.all(),
    description="One round of the whole synthesis, from seeds to SFT data and DPO pairs.",
)

defs = dg.Definitions(
    assets=dg.load_assets_from_package_module(assets),
    asset_checks=dg.load_asset_checks_from_package_module(assets),
    jobs=[synthesize],
    resources=RESOURCES,
    # The graph is a chain and a run is a process already: another process per step would cost
    # about a second each and load an in-process model anew.
    executor=dg.in_process_executor,
)
