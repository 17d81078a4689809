"""Entries out of a store, and into one."""
