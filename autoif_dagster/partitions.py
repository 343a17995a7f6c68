"""Rounds: one refresh of the whole synthesis is one partition, `r0001`, `r0002`, … `r9999`.

Keys sort as text, so "earlier" means the same everywhere.
"""

import dagster as dg

rounds = dg.DynamicPartitionsDefinition(name="rounds")
