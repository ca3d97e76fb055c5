"""What `doctor` tries of Snowflake's warehouse, and of the unload: that it runs, to where the pipeline unloads.

The login, tables and raw logs are tried in `doctor` and `trials`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kumo_assets.config.environment import Environment
from kumo_assets.errors import ConfigError, WarehouseError

if TYPE_CHECKING:
    from kumo_assets.resources.s3_objects import ObjectStore
    from kumo_assets.resources.snowflake import Row, Warehouse

# Where the unload is tried; deploy/iam/snowflake-unload.json allows it.
TRIED_IN = ".doctor/unload"


def judge_warehouse(rows: Sequence[Row], environ: Mapping[str, str] | None = None) -> str:
    """What `SHOW WAREHOUSES` says of the session's, in words. ConfigError when statements would not run.

    A login takes a warehouse that does not exist, and one that is suspended; what fails is the first statement that needs
    one (Snowflake, "USE WAREHOUSE" and "ALTER WAREHOUSE", AUTO_RESUME).
    """
    source = os.environ if environ is None else environ
    wanted = source.get("SNOWFLAKE_WAREHOUSE", "")
    names = [str(row["name"]) for row in rows]
    # The login's parameter is an identifier: without quotes it is in upper case.
    named = next((row for row in rows if str(row["name"]) in (wanted, wanted.upper())), None)
    found = named if wanted else next((row for row in rows if str(row["is_current"]).upper() == "Y"), None)
    if found is None:
        raise ConfigError(
            "use the warehouse",
            to=wanted or "of the session",
            found=f"this role sees no such warehouse; it sees {', '.join(names) or 'none'}"
            if wanted
            else "SNOWFLAKE_WAREHOUSE is not set, and the user has no default warehouse",
            next="correct SNOWFLAKE_WAREHOUSE, or grant USAGE on the warehouse (deploy/snowflake/grants.sql)",
        )
    state, resumes = str(found["state"]).upper(), str(found["auto_resume"]).lower() == "true"
    if state.startswith("SUSPEND") and not resumes:
        raise ConfigError(
            "use the warehouse",
            to=str(found["name"]),
            found=f"it is {state}, and AUTO_RESUME is off: every statement would fail",
            next=f"ALTER WAREHOUSE {found['name']} SET AUTO_RESUME = TRUE",
        )
    return f"warehouse {found['name']} ({state.lower()})"


def see_warehouse(warehouse: Warehouse) -> str:
    """The session's warehouse, in words. Raises ConfigError, WarehouseError."""
    return judge_warehouse(warehouse.rows("SHOW WAREHOUSES", doing="look at the warehouses"))


def try_unload(warehouse: Warehouse, environment: Environment, objects: ObjectStore) -> str:
    """One row, unloaded as a release is and deleted again: it tries the integration or stage, the role behind it, the
    bucket's policy and its key at once. Raises ConfigError, WarehouseError, ObjectStoreError."""
    from kumo_assets.assets.s3_export import copy_into
    from kumo_assets.resources.aws import encryption
    from kumo_assets.resources.stages import location, see_stage

    through = see_stage(warehouse, environment) if environment.stage else environment.storage_integration
    prefix = f"{environment.name}/{TRIED_IN}/{secrets.token_hex(8)}/"
    to = location(environment, prefix) if environment.stage else objects.uri(prefix)
    select = "SELECT 'e' AS \"e\", 'p' AS \"p\""
    try:
        warehouse.rows(
            copy_into(to, select, "csv", environment.storage_integration, 16, encryption()), doing="unload a row"
        )
        if not list(objects.list(prefix)):
            raise ConfigError(
                "unload a row",
                to=to,
                found=f"Snowflake says that it did, and nothing is below {objects.uri(prefix)}",
                next="correct KUMO_ASSETS_BUCKET, or the stage's URL",
            )
    except WarehouseError as error:
        raise ConfigError(
            "unload a row",
            to=to,
            found=error.found,
            next=f"SELECT SYSTEM$VALIDATE_STORAGE_INTEGRATION('{environment.storage_integration}', "
            f"'{objects.uri(f'{environment.name}/{TRIED_IN}/')}', 'try.txt', 'all') says which step fails; then "
            "deploy/README.md: the trust policy, iam/snowflake-unload.json, and the key",
        ) from error
    finally:
        objects.delete_many([item.key for item in objects.list(prefix)])
    return f"unloaded through {through}"
