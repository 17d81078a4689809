"""What goes before its time: purged, invalidated, or erased for good."""
