"""What campaigns come to: decisions, operating characteristics, sizes."""

from sitewise.trial.operating.characteristics import operating_characteristics as operating_characteristics
from sitewise.trial.operating.decide import Decisions as Decisions
from sitewise.trial.operating.decide import Outcome as Outcome
from sitewise.trial.operating.decide import decide as decide
from sitewise.trial.operating.decide import thresholds_of as thresholds_of
