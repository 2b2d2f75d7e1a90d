"""Analyses of many trials at a look: what each says of the design's criteria."""

from sitewise.trial.analysis.analysis import Analysed as Analysed
from sitewise.trial.analysis.analysis import Analysis as Analysis
from sitewise.trial.analysis.conjugate import Conjugate as Conjugate
from sitewise.trial.analysis.cox import Cox as Cox
from sitewise.trial.analysis.dispatch import analysis_of as analysis_of
from sitewise.trial.analysis.log_rank import LogRank as LogRank
