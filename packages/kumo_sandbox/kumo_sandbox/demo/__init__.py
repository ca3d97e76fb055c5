"""`kumo-sandbox demo`: days of real logs through the whole path, a lookup, and an honest figure of how good it was.

It drives the project from outside, as a person would: `kumo-assets` for releases, the reader for answers, the emulator's
fault routes for what is to go wrong. Nothing here knows how a release is made.
Import from the modules: the command line must not wait for DuckDB to print its help.
"""
