"""Keys to answers."""
