"""The folder that is handed to customers: model, Modelfile, installers, client, card, checksums.

What lives here: building that folder and verifying it. What does not: making the GGUF
(:mod:`supportbot_dagster.export`), measuring it, and the decision to release.
"""
