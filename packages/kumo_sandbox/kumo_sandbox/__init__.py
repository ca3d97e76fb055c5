"""Snowflake, AWS and Kumo on this machine, speaking the real protocols, for laptops and tests.

`snowflake` is fakesnow's server plus the unload it lacks, `aws` MiniStack behind a proxy with AWS's own manners, `kumo`
the batch prediction API; `supervisor` starts and stops them. Nothing in kumo_assets imports this package.
"""
