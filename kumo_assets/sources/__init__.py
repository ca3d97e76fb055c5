"""Where predictions come from: one protocol, a module for each source, and which one a definition means. No Dagster here."""
