"""Operating the graph from outside Dagster's UI: the instance, what is fresh, a retrain.

What lives here: what the command line needs of Dagster. What does not: the command line itself
(:mod:`supportbot_dagster.cli`) and the graph.
"""
