"""Analyses of many trials at a look: what each says of the design's criteria."""

from sitewise.trial.analysis.analysis import Analysed as Analysed
from sitewise.trial.analysis.analysis import Analysis as Analysis
