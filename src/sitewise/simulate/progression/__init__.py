"""Progression and failures of calibrated cohorts: dependent on death, seen at visits, of printed kinds."""

from sitewise.simulate.progression.arrays import ProgressionArrays
from sitewise.simulate.progression.calibrate import ProgressionCalibration, calibrate_progression
from sitewise.simulate.progression.checks import says_of_progression, why_left_out
from sitewise.simulate.progression.model import ProgressionModel
from sitewise.simulate.progression.schedule import ScanSchedule
from sitewise.simulate.progression.summary import all_misses

__all__ = [
    "ProgressionArrays",
    "ProgressionCalibration",
    "ProgressionModel",
    "ScanSchedule",
    "all_misses",
    "calibrate_progression",
    "says_of_progression",
    "why_left_out",
]
