"""Forwarding to the model server."""
