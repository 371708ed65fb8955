"""Bases, LoRA training and the embedded base."""
