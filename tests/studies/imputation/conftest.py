"""Cohorts with holes that several files share."""

import numpy as np
import pytest

import sitewise as sw


@pytest.fixture(scope="session")
def holes(make_frame):
    """A table of ``make_frame`` in which the ECOG score (binary), the stage (ordinal: I, II, III) and age have holes."""

    def make(n=60, *, seed=1):
        frame = make_frame(n, seed=seed)
        rng = np.random.default_rng(100 + seed)
        for name, share in (("ecog", 0.1), ("stage", 0.2), ("age", 0.3)):
            frame.loc[rng.random(n) < share, name] = np.nan if name == "age" else None
        return frame

    return make


@pytest.fixture(scope="session")
def spec():
    return sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + stage + age + (1 | hospital)")


@pytest.fixture(scope="session")
def imputations(holes, read, spec):
    return sw.impute(spec, read(holes(), missing="keep"), imputations=8, sweeps=6, kinds={"stage": "ordinal"}, seed=4)


@pytest.fixture(scope="session")
def fitted(imputations):
    return sw.fit_imputed(imputations, engine=sw.NestedLaplace(draws=200))
