"""An own gate with Great Expectations: a suite of expectations on a sample of the lists to be served.

Copy to `defs/<query>/gates/great_expectations.py` and install `great_expectations` where Dagster runs (tried with 1.24.1).
An ephemeral context keeps nothing on disk and sends nothing anywhere.
"""

from kumo_assets.gates import Outcome, Release

SAMPLE = 20_000


def check(release: Release) -> Outcome:
    import great_expectations as gx
    import great_expectations.expectations as expect

    frame = release.frame(
        f"SELECT ENTITY, CLASS, SCORE, RANK FROM {release.postprocessed} ORDER BY HASH(ENTITY) LIMIT {SAMPLE}"  # noqa: S608
    ).astype({"SCORE": float, "RANK": int})
    context = gx.get_context(mode="ephemeral")
    batch = (
        context.data_sources.add_pandas("release")
        .add_dataframe_asset("lists")
        .add_batch_definition_whole_dataframe("sample")
        .get_batch({"dataframe": frame})
    )
    suite = gx.ExpectationSuite(
        name="lists",
        expectations=[
            expect.ExpectColumnValuesToNotBeNull(column="CLASS"),
            expect.ExpectColumnValuesToBeBetween(column="RANK", min_value=1, max_value=5),
            expect.ExpectColumnValuesToBeBetween(column="SCORE", min_value=0),
            expect.ExpectCompoundColumnsToBeUnique(column_list=["ENTITY", "RANK"]),
        ],
    )
    found = batch.validate(suite)
    failed = [item.expectation_config.type for item in found.results if not item.success]
    message = f"Great Expectations: {len(found.results) - len(failed)} of {len(found.results)} expectations hold"
    return Outcome(not failed, float(len(failed)), "; ".join([message, *failed]), segment=failed[0] if failed else "")
