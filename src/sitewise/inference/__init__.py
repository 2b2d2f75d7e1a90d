"""How a posterior is computed: engines, the verdict on their output, saving and loading."""

from sitewise.inference.engine import Draws, Engine
from sitewise.inference.fit import fit
from sitewise.inference.nested_laplace import Auto, NestedLaplace
from sitewise.inference.nuts import Nuts
from sitewise.inference.result import FitResult
from sitewise.inference.storage import load
from sitewise.inference.verdict import THRESHOLDS, Check, Verdict

__all__ = [
    "THRESHOLDS",
    "Auto",
    "Check",
    "Draws",
    "Engine",
    "FitResult",
    "NestedLaplace",
    "Nuts",
    "Verdict",
    "fit",
    "load",
]
