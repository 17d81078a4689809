"""A model and a file of prompts to try kindcache with."""
