"""What is true: joint draws of baseline, risk groups, site spread and treatment effect, or one stated truth."""

from sitewise.trial.truth.truth import Profile as Profile
from sitewise.trial.truth.truth import TrueEffect as TrueEffect
from sitewise.trial.truth.truth import Truth as Truth
