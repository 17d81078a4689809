"""Mechanism: embedders, index, stores, engine."""
