"""Rebuilds the weights of the pair scorer. Not part of the installed package."""
