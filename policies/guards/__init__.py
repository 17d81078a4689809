"""Checks on a pair of prompts that similarity cannot make."""
