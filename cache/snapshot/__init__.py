"""What a process holds, on disk: so that a restart is warm at once."""
