"""What is true: joint draws of baseline, risk groups, site spread and treatment effect, or one stated truth.

``from_posterior``, ``stated`` and ``storage`` make truths, ``changes`` alters them, ``plan_truth`` reads what TRIAL.toml says.
``hazards`` and ``averages`` are their curves, from which ``true_values``, worlds at
``bounds`` and the ``benchmark`` come. ``further`` is of trials with several experimental arms.
"""

from sitewise.trial.truth.benchmark import Benchmark as Benchmark
from sitewise.trial.truth.further import with_further_arms as with_further_arms
from sitewise.trial.truth.truth import Profile as Profile
from sitewise.trial.truth.truth import TrueEffect as TrueEffect
from sitewise.trial.truth.truth import Truth as Truth
