"""An own gate with Evidently: drift of a sample of scores against the active release, by its own preset.

Copy to `defs/<query>/gates/evidently_drift.py` and install `evidently` where Dagster runs (tried with 0.7.23). The sample
keeps memory flat: 20,000 rows of each table, chosen by hash, whatever its size.
"""

from kumo_assets.gates import Outcome, Release

SAMPLE = 20_000
# Wasserstein distance in standard deviations. Evidently's own default is 0.1, which 400 rows exceed by chance alone.
LIMIT = 0.2


def check(release: Release) -> Outcome:
    from evidently import Report
    from evidently.presets import DataDriftPreset

    if release.active_postprocessed is None:
        return Outcome(True, message="no active release to compare with (bootstrap)")
    # The table's name is quoted; HASH gives the same order every time.
    reference, current = (
        release.frame(f"SELECT SCORE FROM {table} WHERE RANK = 1 ORDER BY HASH(ENTITY) LIMIT {SAMPLE}").astype(float)  # noqa: S608
        for table in (release.active_postprocessed, release.postprocessed)
    )
    preset = DataDriftPreset(columns=["SCORE"], num_method="wasserstein", num_threshold=LIMIT)
    result = Report([preset]).run(current, reference).dict()
    value = next(
        float(metric["value"]) for metric in result["metrics"] if metric["metric_name"].startswith("ValueDrift")
    )
    message = f"Evidently: the first scores moved by {value:.3f} standard deviations (limit {LIMIT})"
    return Outcome(value <= LIMIT, value, message, segment="first scores")
