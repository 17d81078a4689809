"""Who asks what: scopes, fingerprints, and conversations in other words."""
