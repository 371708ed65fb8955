"""One file for each outside system, as Dagster resources."""
