"""The simulated supervisor: the embedded default that needs no GPU, no key and no download."""

from autoif_dagster.clients.simulated.supervisor import SimulatedClient

__all__ = ["SimulatedClient"]
