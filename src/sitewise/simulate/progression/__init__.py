"""Progression and failures of calibrated cohorts: dependent on death, seen at visits, of printed kinds."""

from sitewise.simulate.progression.arrays import ProgressionArrays
from sitewise.simulate.progression.calibrate import ProgressionCalibration, calibrate_progression, says_of_progression
from sitewise.simulate.progression.model import ProgressionModel
from sitewise.simulate.progression.schedule import ScanSchedule

__all__ = [
    "ProgressionArrays",
    "ProgressionCalibration",
    "ProgressionModel",
    "ScanSchedule",
    "calibrate_progression",
    "says_of_progression",
]
