"""Measuring with labelled data."""
