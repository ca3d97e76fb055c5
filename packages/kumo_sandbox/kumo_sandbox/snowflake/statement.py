"""Parsing `COPY INTO 's3://...' FROM ... options`, and the same to a place in a stage (`'@...'`), which fakesnow does not know. Text in, values out; nothing runs here.

An option this sandbox does not implement is an error, never ignored: what passes here must mean the same on Snowflake.
Source of grammar and defaults: Snowflake, "COPY INTO <location>".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_START = re.compile(r"^\s*COPY\s+INTO\s+'(s3://[^']+|@[^']+)'\s+FROM\s+", re.IGNORECASE)
_STAGE = re.compile(r'@((?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+)){2})(?:/(.*))?')
_EXPLAIN = re.compile(r"^\s*EXPLAIN\s+(?:USING\s+(?:TABULAR|JSON|TEXT)\s+)?(.+)$", re.IGNORECASE | re.DOTALL)
_OPTION = re.compile(r"([A-Z_]+)\s*=\s*", re.IGNORECASE)

OPTIONS = {
    "STORAGE_INTEGRATION",
    "ENCRYPTION",
    "FILE_FORMAT",
    "HEADER",
    "MAX_FILE_SIZE",
    "OVERWRITE",
    "SINGLE",
    "DETAILED_OUTPUT",
    "INCLUDE_QUERY_ID",
}
# Snowflake's word -> what S3 is told.
ENCRYPTIONS = {"NONE": "", "AWS_SSE_S3": "AES256", "AWS_SSE_KMS": "aws:kms"}
FORMAT_OPTIONS = {
    "TYPE",
    "COMPRESSION",
    "FIELD_OPTIONALLY_ENCLOSED_BY",
    "NULL_IF",
    "FIELD_DELIMITER",
    "RECORD_DELIMITER",
}


# Type of file -> its compressions, the default first.
COMPRESSIONS = {"CSV": ("GZIP", "NONE"), "JSON": ("GZIP", "NONE"), "PARQUET": ("SNAPPY", "NONE")}
# Type of file -> the other format options that it takes here.
OF_TYPE = {
    "CSV": ("FIELD_OPTIONALLY_ENCLOSED_BY", "NULL_IF", "FIELD_DELIMITER", "RECORD_DELIMITER"),
    "JSON": (),
    "PARQUET": (),
}


class StatementError(Exception):
    """The statement is wrong, or asks for what this sandbox does not implement."""


@dataclass(frozen=True)
class Unload:
    """One unload. `source` is a SELECT or a table name; sizes in bytes. `stage` is (database, schema, name) of the stage
    that says where it goes, below which `prefix` is; then there is no `bucket` yet."""

    bucket: str
    prefix: str
    source: str
    integration: str | None
    type: str
    compression: str
    enclosed: bool
    header: bool
    max_file_size: int
    overwrite: bool
    single: bool
    detailed: bool
    include_query_id: bool
    empty_for_null: bool = False
    encryption: str = ""
    kms_key: str = ""
    stage: tuple[str, str, str] | None = None


def explained(sql: str) -> str | None:
    """The statement that an `EXPLAIN [USING TABULAR | JSON | TEXT] <statement>` is about; None for another statement."""
    match = _EXPLAIN.match(_without_comments(sql))
    return match.group(1) if match is not None else None


def is_unload(sql: str) -> bool:
    """True for a COPY INTO an S3 URL or a stage."""
    return _START.match(_without_comments(sql)) is not None


def parse_unload(sql: str) -> Unload:
    """The statement as values. StatementError says what is wrong."""
    text = _without_comments(sql).strip().rstrip(";")
    match = _START.match(text)
    if match is None:
        raise StatementError("not a COPY INTO 's3://...' or '@...' statement")
    url, rest = match.group(1), text[match.end() :]
    if rest.startswith("("):
        end = _closing(rest)
        source, rest = rest[1:end], rest[end + 1 :]
    else:
        name = re.match(r'(?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))*', rest)
        if name is None:
            raise StatementError("FROM wants a table or a query in parentheses")
        source, rest = f"SELECT * FROM {name.group(0)}", rest[name.end() :]
    options = _options(rest, OPTIONS)
    form = _options(_inside(options.get("FILE_FORMAT", "()")), FORMAT_OPTIONS)
    kind = _word(form.get("TYPE", "CSV")).upper()
    if kind not in COMPRESSIONS:
        raise StatementError(
            f"FILE_FORMAT TYPE = {kind} is not implemented by the sandbox ({', '.join(COMPRESSIONS)} are)"
        )
    compressions = COMPRESSIONS[kind]
    if foreign := sorted(form.keys() - {"TYPE", "COMPRESSION", *OF_TYPE[kind]}):
        raise StatementError(f"{foreign[0]} is no option of an unload of TYPE = {kind}")
    compression = _word(form.get("COMPRESSION", "AUTO")).upper()
    compression = compressions[0] if compression == "AUTO" else compression
    if compression not in compressions:
        raise StatementError(
            f"COMPRESSION = {compression} is not implemented by the sandbox ({' and '.join(compressions)} are)"
        )
    for option, only in (("FIELD_DELIMITER", ","), ("RECORD_DELIMITER", "\\n")):
        if _word(form.get(option, f"'{only}'")) not in (only, "NONE"):
            raise StatementError(f"{option} other than '{only}' is not implemented by the sandbox")
    enclosed = _word(form.get("FIELD_OPTIONALLY_ENCLOSED_BY", "NONE"))
    if enclosed not in ('"', "NONE"):
        raise StatementError("FIELD_OPTIONALLY_ENCLOSED_BY must be '\"' or NONE in the sandbox")
    nulls = form.get("NULL_IF")
    if nulls is not None and _inside(nulls).strip():
        raise StatementError("NULL_IF other than () is not implemented by the sandbox")
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    stage = None
    if url.startswith("@"):
        stage, prefix = _in_stage(url)
        bucket = ""
        for option in ("STORAGE_INTEGRATION", "ENCRYPTION"):
            if option in options:
                raise StatementError(f"{option} belongs to an unload to a URL; a stage has its own")
    integration = _name(options["STORAGE_INTEGRATION"]) if "STORAGE_INTEGRATION" in options else None
    encryption = _options(_inside(options.get("ENCRYPTION", "()")), {"TYPE", "KMS_KEY_ID"})
    kind_of_key = _word(encryption.get("TYPE", "NONE")).upper()
    if kind_of_key not in ENCRYPTIONS:
        raise StatementError(f"ENCRYPTION TYPE = {kind_of_key} is not implemented by the sandbox")
    return Unload(
        bucket=bucket,
        prefix=prefix,
        source=source.strip(),
        integration=integration,
        type=kind,
        compression=compression,
        enclosed=enclosed == '"',
        header=_true(options.get("HEADER", "FALSE")),
        max_file_size=_size(options.get("MAX_FILE_SIZE", "16777216")),
        overwrite=_true(options.get("OVERWRITE", "FALSE")),
        single=_true(options.get("SINGLE", "FALSE")),
        detailed=_true(options.get("DETAILED_OUTPUT", "FALSE")),
        include_query_id=_true(options.get("INCLUDE_QUERY_ID", "FALSE")),
        empty_for_null=nulls is not None,
        encryption=ENCRYPTIONS[kind_of_key],
        kms_key=_word(encryption.get("KMS_KEY_ID", "")),
        stage=stage,
    )


def _in_stage(place: str) -> tuple[tuple[str, str, str], str]:
    """The stage that `@DATABASE.SCHEMA.STAGE/path` names, and the path."""
    match = _STAGE.fullmatch(place)
    if match is None:
        raise StatementError(f"the sandbox wants a stage by its whole name, @DATABASE.SCHEMA.STAGE/path, not {place}")
    database, schema, name = (_name(part) for part in re.findall(r'"[^"]+"|[\w$]+', match.group(1)))
    return (database, schema, name), match.group(2) or ""


def _without_comments(sql: str) -> str:
    """The statement without comments; text in quotes is left alone."""
    pattern = re.compile(r"('(?:[^'\\]|\\.|'')*'|\"[^\"]*\")|(--[^\n]*|/\*.*?\*/)", re.DOTALL)
    return pattern.sub(lambda match: match.group(1) or " ", sql)


def _closing(text: str) -> int:
    """Index of the parenthesis that closes the one `text` begins with."""
    depth, position = 0, 0
    while position < len(text):
        char = text[position]
        if char in "'\"":
            position += 1
            while position < len(text) and text[position] != char:
                position += 2 if text[position] == "\\" and char == "'" else 1
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    raise StatementError("a parenthesis is not closed")


def _options(text: str, known: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    rest = text.strip().lstrip(",").strip()
    while rest:
        match = _OPTION.match(rest)
        if match is None:
            raise StatementError(f"syntax error near {rest[:40]!r}")
        name = match.group(1).upper()
        if name not in known:
            raise StatementError(
                f"option {name} is not implemented by the sandbox; implemented are {', '.join(sorted(known))}"
            )
        rest = rest[match.end() :]
        if rest.startswith("("):
            end = _closing(rest)
            value, rest = rest[: end + 1], rest[end + 1 :]
        else:
            word = re.match(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|[^\s,)]+", rest)
            if word is None:
                raise StatementError(f"option {name} has no value")
            value, rest = word.group(0), rest[word.end() :]
        found[name] = value
        rest = rest.strip().lstrip(",").strip()
    return found


def _inside(value: str) -> str:
    return value.strip()[1:-1]


def _word(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"" else value


def _name(value: str) -> str:
    """An identifier as Snowflake reads it: in quotes exactly as it stands, in upper case without."""
    return _word(value) if value.strip().startswith('"') else _word(value).upper()


def _true(value: str) -> bool:
    word = _word(value).upper()
    if word not in ("TRUE", "FALSE"):
        raise StatementError(f"{value} is neither TRUE nor FALSE")
    return word == "TRUE"


def _size(value: str) -> int:
    size = int(_word(value))
    if not 0 < size <= 5_368_709_120:
        raise StatementError("MAX_FILE_SIZE must be more than 0 and at most 5368709120 (5 GB)")
    return size
