"""One request's way through the cache: read, looked up, answered or led, recorded."""
