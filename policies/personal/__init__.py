"""Finds personal data in texts, and puts placeholders in its place."""
