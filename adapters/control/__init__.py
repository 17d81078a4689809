"""What an operator or a caller tells a running cache: purge, erase, reload, verdicts."""
