"""What is assumed of Snowflake, S3, DynamoDB, the pointer stores and Kumo: one entry for each row of the report of `prove`.

docs/assumptions.md has the same rows, each with what the emulator does and where the vendor says so; a test holds the two
together. How a row is tried is in the module of its area.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

Area = Literal["snowflake", "s3", "dynamodb", "pointer", "kumo"]
AREAS: tuple[Area, ...] = get_args(Area)


class Assumption(NamedTuple):
    """One thing that this project relies on. `means` is what follows for us where it does not hold."""

    name: str
    area: Area
    says: str
    means: str


_WRONG_VALUES = "services would answer with other predictions than the model's: do not go live"
_TWICE = "a retried run may pay for an import twice: re-execute failed imports by hand only"
_OVERWRITES = "two promoters can both win, and a rollback can be overwritten: do not keep pointers in this store"
_TOO_MUCH = "the role may do what no part of this project needs: take it away (deploy/)"

ASSUMPTIONS: tuple[Assumption, ...] = (
    # ---- Snowflake
    Assumption(
        "snowflake-values", "snowflake", "Text and floats that are inserted are read back as they were.", _WRONG_VALUES
    ),
    Assumption(
        "snowflake-float-plain",
        "snowflake",
        "`TO_VARCHAR(<float>)` keeps at least 10 significant digits.",
        "the proof of a table refuses more FLOAT keys than it has to: cast keys to NUMBER",
    ),
    Assumption(
        "snowflake-float-exact",
        "snowflake",
        "`TO_VARCHAR(<float>, 'TME')` is a JSON number that reads back as the same double.",
        "scores lose digits in the export: do not go live",
    ),
    Assumption(
        "snowflake-number-exact",
        "snowflake",
        "`TO_VARCHAR(<NUMBER>)` writes every digit.",
        "scores of type NUMBER lose digits in the export: cast them to FLOAT",
    ),
    Assumption(
        "snowflake-view-text",
        "snowflake",
        "SHOW VIEWS has the statement that made a view, word by word.",
        "each observation of a flattened log replaces its view: tags and policies that others hung on it are lost",
    ),
    Assumption(
        "snowflake-proof",
        "snowflake",
        "The proof of a post-processed table counts its awkward keys, and keys of 2,048 bytes, as they are.",
        "good tables are refused, or bad ones pass: the counts that everything is compared with are not right",
    ),
    Assumption(
        "unload-complete",
        "snowflake",
        "`COPY INTO` reports as many rows as there are entities, and as many files as lie under the prefix.",
        "each s3_export stops: its counts are compared in the same way",
    ),
    Assumption(
        "unload-values",
        "snowflake",
        "A CSV file of the unload, read as RFC 4180 says, has every entity, class and score as they were.",
        _WRONG_VALUES,
    ),
    Assumption(
        "unload-sample",
        "snowflake",
        "The sample that imports are compared with has the table's scores bit by bit.",
        "each s3_export stops, because its sample lost digits",
    ),
    Assumption(
        "unload-encryption",
        "snowflake",
        "Files of the unload are encrypted as KUMO_ASSETS_S3_ENCRYPTION says.",
        "exports lie in the bucket with another encryption than its owner asked for",
    ),
    Assumption(
        "denied-unload",
        "snowflake",
        "An unload to where the storage integration does not allow it is refused.",
        _TOO_MUCH,
    ),
    # ---- S3
    Assumption("s3-create-once", "s3", "`If-None-Match: *` refuses to write over an object.", _OVERWRITES),
    Assumption(
        "s3-compare-and-set", "s3", "`If-Match` refuses a stale ETag, and takes the one that was read.", _OVERWRITES
    ),
    Assumption("s3-one-winner", "s3", "Of many writers with one ETag at once, exactly one wins.", _OVERWRITES),
    Assumption(
        "s3-consistent",
        "s3",
        "What was written is read and listed at once, and what was deleted is not.",
        "releases and verdicts may not be seen by the step after: use a store that is strongly consistent",
    ),
    Assumption(
        "s3-clock",
        "s3",
        "Answers carry a date, and objects are dated by the same clock.",
        "the order of releases and their age are those of this machine's clock",
    ),
    Assumption(
        "s3-versions",
        "s3",
        "Where the bucket keeps versions, each write has an id of its own, newest first.",
        "a promotion does not see that it went over a person's edit",
    ),
    Assumption(
        "s3-encryption",
        "s3",
        "Objects are encrypted as KUMO_ASSETS_S3_ENCRYPTION says.",
        "objects lie in the bucket with another encryption than its owner asked for",
    ),
    Assumption("denied-s3-outside", "s3", "Nothing can be written outside of the environment's prefix.", _TOO_MUCH),
    Assumption(
        "denied-s3-version", "s3", "A version of an object cannot be deleted: the pointer's history stays.", _TOO_MUCH
    ),
    # ---- DynamoDB
    Assumption(
        "import-token-running",
        "dynamodb",
        "ImportTable asked again with the same token is answered with the import that runs.",
        _TWICE,
    ),
    Assumption(
        "import-complete",
        "dynamodb",
        "An import counts each row of the export once: imported = processed = rows, no errors.",
        "each dynamodb_table stops: its counts are compared in the same way",
    ),
    Assumption(
        "import-values", "dynamodb", "Every item has exactly the text that the export has for it.", _WRONG_VALUES
    ),
    Assumption(
        "import-line-breaks",
        "dynamodb",
        "Keys with LF, CR and CRLF in them are imported as they are.",
        "entities with line breaks get no predictions, or cost the rest of their file: take them out in postprocess.sql",
    ),
    Assumption(
        "import-token-ended",
        "dynamodb",
        "After its end the same token is answered with the same import, and starts none.",
        _TWICE,
    ),
    Assumption(
        "import-token-other",
        "dynamodb",
        "The same token with other parameters is refused.",
        "an edited definition may adopt the import of another export: materialise with --fresh after each edit",
    ),
    Assumption(
        "import-name-taken",
        "dynamodb",
        "An import into a table that exists is refused.",
        "a table that is served may be written over: do not go live",
    ),
    Assumption(
        "import-listed",
        "dynamodb",
        "ListImports shows an import that has ended, by its table.",
        "an import whose token is older than 8 hours is not adopted, and its run stops",
    ),
    Assumption(
        "import-bad-line",
        "dynamodb",
        "A line that can be no item is counted as an error; what is after it in its file may be missing.",
        "a table may be incomplete without an error: only the counts show it",
    ),
    Assumption(
        "import-duplicates",
        "dynamodb",
        "Two rows of one key are no error, and leave one item.",
        "nothing changes for us: the proof of postprocessed refuses a table that repeats a key",
    ),
    Assumption(
        "table-tags",
        "dynamodb",
        "Tags put on an imported table are read back.",
        "retirement deletes no table of ours, and old tables cost money",
    ),
    Assumption(
        "table-encryption",
        "dynamodb",
        "An imported table is encrypted with the key that table.sse names.",
        "tables have another key than their owner asked for",
    ),
    Assumption(
        "table-protection",
        "dynamodb",
        "A protected table cannot be deleted.",
        "a mistaken hand can delete a table that is served",
    ),
    Assumption(
        "table-recovery",
        "dynamodb",
        "Point-in-time recovery can be turned on for an imported table.",
        "a query with table.point_in_time_recovery never seals a release: leave it out",
    ),
    Assumption(
        "table-warm",
        "dynamodb",
        "Warm throughput can be raised, and is reported once it is there.",
        "a query with table.reads_per_second never seals a release: leave it out",
    ),
    Assumption(
        "table-replicas",
        "dynamodb",
        "A replica in each region that a query names becomes ACTIVE.",
        "a query with table.replicas never seals a release: leave it out",
    ),
    Assumption(
        "reader-values",
        "dynamodb",
        "A service's reader answers with every class and score as they were before the unload.",
        _WRONG_VALUES,
    ),
    Assumption(
        "reader-miss",
        "dynamodb",
        "An entity that is not in the table is a miss, and no error.",
        "services take new users for failures",
    ),
    Assumption(
        "retirement",
        "dynamodb",
        "Retirement deletes the tables and the export of an old release, protected as they are.",
        "old releases stay and cost money",
    ),
    Assumption("denied-item-write", "dynamodb", "No item of a table can be written.", _TOO_MUCH),
    Assumption("denied-expiry", "dynamodb", "No expiry (TTL) can be set on a table.", _TOO_MUCH),
    # ---- pointers
    *(
        Assumption(f"pointer-{store}-{name}", "pointer", says, means)
        for store, where in (("s3", "on S3"), ("zookeeper", "in ZooKeeper"))
        for name, says, means in (
            ("create", f"A pointer {where} is created once: the second who creates it loses.", _OVERWRITES),
            ("move", f"A pointer {where} is moved by who has read it last, and read back as written.", _OVERWRITES),
            ("lose", f"A pointer {where} is not moved by who has read an older one.", _OVERWRITES),
            ("race", f"Of eight who move a pointer {where} at once, exactly one wins.", _OVERWRITES),
            (
                "reader",
                f"A service reads a pointer {where} as the pipeline wrote it.",
                "services do not follow promotions and rollbacks",
            ),
        )
    ),
    Assumption(
        "denied-zookeeper",
        "pointer",
        "Who has not KUMO_ASSETS_ZOOKEEPER_AUTH cannot move a pointer in ZooKeeper.",
        "anybody who reaches the ensemble can move pointers: set KUMO_ASSETS_ZOOKEEPER_AUTH before the first promotion",
    ),
    # ---- Kumo
    Assumption(
        "kumo-reached",
        "kumo",
        "Kumo takes the key, and has the connector and the model of every query.",
        "no predictions are made: kumo-assets doctor says what to do",
    ),
    Assumption(
        "kumo-job",
        "kumo",
        "A batch job is found by its tags, ends, and its table in Snowflake is proved.",
        "no predictions are made, or a job is launched twice",
    ),
)

BY_NAME = {one.name: one for one in ASSUMPTIONS}
