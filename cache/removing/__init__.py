"""What goes before its time: purged by an operator, erased for good."""
