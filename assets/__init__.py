"""The graph: one module per stage, thin. An asset reads rows, a stage of `autoif_dagster.stages`
builds requests and parses replies, a client or the sandbox answers, the asset writes one table."""
