"""The fixture `world`, from a module that tests may import names of too."""

from airflow_world import world

__all__ = ["world"]
