"""AWS on this machine: MiniStack in its own environment, behind a proxy that has AWS's manners where ours depend on them."""
