"""``kindcache tune``: from evidence to a proposed change of the policy file."""
