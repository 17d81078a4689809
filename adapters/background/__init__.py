"""Calls to the model of our own, after a caller was served: checks and refreshes."""
