"""Docs and tickets in, an on-device support bot out, once a month, as Dagster assets.

What lives here: nothing but the packages; each says in its own words what belongs in it.
"""
