"""Values: settings, YAML loading, units, the shipped policies."""
