"""Decisions: pure functions from facts to closed verdicts."""
