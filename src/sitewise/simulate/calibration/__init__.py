"""Calibration: data-generating processes that reproduce a paper's numbers, and synthetic cohorts of them."""

from sitewise.simulate.calibration.assumptions import Assumptions
from sitewise.simulate.calibration.calibrate import Calibration, calibrate
from sitewise.simulate.calibration.products import Produced

__all__ = ["Assumptions", "Calibration", "Produced", "calibrate"]
