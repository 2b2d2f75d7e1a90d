"""Simulation-based calibration: whether the computation, and the model as coded, find truths that were drawn from the prior.

``follow_up`` says how long patients are watched, ``source`` simulates cohorts from truths, ``uniformity`` tests PIT values,
``calibration`` does it all around a prior or around a posterior, and ``coverage`` does it for a fixed truth, by numbers of
patients and sites.
"""

from sitewise.studies.sbc.calibration import Calibration, posterior_sbc, sbc
from sitewise.studies.sbc.coverage import coverage

__all__ = ["Calibration", "coverage", "posterior_sbc", "sbc"]
