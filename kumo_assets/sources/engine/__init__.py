"""The Kumo Engine as a source of predictions: run by us, in an environment of its own. What runs there is in `child`."""
