"""What a process holds of the cache: entries, their vectors, lives and room."""
