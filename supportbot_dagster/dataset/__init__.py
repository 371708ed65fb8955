"""Rows, their merge into splits, and the audit of the result."""
