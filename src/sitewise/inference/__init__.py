"""How a posterior is computed: engines, the verdict on their output, saving and loading."""

from sitewise.inference.engine import Draws, Engine
from sitewise.inference.fit import fit
from sitewise.inference.nuts import Nuts
from sitewise.inference.result import FitResult
from sitewise.inference.storage import load
from sitewise.inference.verdict import THRESHOLDS, Check, Verdict

__all__ = ["THRESHOLDS", "Check", "Draws", "Engine", "FitResult", "Nuts", "Verdict", "fit", "load"]
