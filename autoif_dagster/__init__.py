"""AutoIF as a Dagster project. Importing the package imports nothing else: the definitions,
the sandbox's worker processes and the command line each load only what they need."""

__version__ = "0.1.0"
