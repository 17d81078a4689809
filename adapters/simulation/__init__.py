"""Replays a log of requests through the serving code, on a clock of its own."""
