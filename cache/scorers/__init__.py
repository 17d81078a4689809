"""Pairs of prompts to evidence that one answer fits both."""
