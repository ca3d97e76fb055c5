"""One module, one benchmark: `TITLE`, and `run(quick: bool) -> Result`. A module put here is listed and run."""
