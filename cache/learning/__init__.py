"""What the cache learns about its own hits: evidence, feedback, what is known to be wrong."""
