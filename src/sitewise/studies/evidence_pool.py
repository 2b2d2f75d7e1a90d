"""One resolution for the fits of all cohorts: priors must not move between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from sitewise.cohort import Cohort
from sitewise.models import ModelSpec
from sitewise.studies.evidence_fit import Member


def pooled(spec: ModelSpec, members: Sequence[Member], /) -> ModelSpec:
    """Return a spec resolved on all cohorts below one another; a spec that is resolved is returned unchanged.

    Covariate means, the reference patient and the default baseline prior (ln 2 x person-time / events) are those of all cohorts
    together; the guarantee time meant is the mean of the cohorts'.
    """
    if spec.resolution is not None:
        return spec
    frames = []
    for member in members:
        cohort = member.known
        table = cohort.frame.copy()
        name = cohort.columns.id or "patient"
        frames.append(table.assign(**{name: [f"{member.place}-{label}" for label in table[name].astype(str)]}))
    first = members[0].known
    names = [str(item) for item in first.covariates.columns]
    together = Cohort.from_frame(
        pd.concat(frames, ignore_index=True),
        time=first.columns.time,
        event=first.columns.event,
        site=first.columns.site,
        id=first.columns.id,
        covariates=names,
        levels={item: list(first.levels(item)) for item in names if first.levels(item)},
        time_unit=first.time_unit,
        source="all synthetic cohorts together",
    )
    own = [member.guarantee_time for member in members]
    # Every patient of every cohort outlives the smallest; the one shown is their mean.
    resolved = replace(spec, guarantee_time=min(own)).resolve(together)
    return replace(resolved, guarantee_time=own[0] if len(set(own)) == 1 else sum(own) / len(own))
