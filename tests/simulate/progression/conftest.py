"""KROG 20-04 with its adjusted model and curves of all patients alone: quick to calibrate, and all of its progression."""

from dataclasses import replace

import pytest

import sitewise as sw
from sitewise.simulate.calibration import calibrate
from sitewise.simulate.progression import calibrate_progression


@pytest.fixture(scope="package")
def evidence():
    whole = sw.load_evidence("krog-20-04")
    models = tuple(model for model in whole.model if model.adjusted)
    return replace(whole, model=models, survival=tuple(item for item in whole.survival if not item.group))


@pytest.fixture(scope="package")
def calibration(evidence):
    return calibrate(evidence, seed=1, cohorts=50, pool=1500, workers=1)


@pytest.fixture(scope="package")
def progression(calibration):
    return calibrate_progression(calibration, seed=1, pool=8000, workers=1)
