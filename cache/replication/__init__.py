"""What other processes do to the store, done here too."""
