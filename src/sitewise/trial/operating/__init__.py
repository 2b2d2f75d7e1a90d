"""What campaigns come to: decisions, operating characteristics, sizes."""

from sitewise.trial.operating.characteristics import operating_characteristics as operating_characteristics
from sitewise.trial.operating.decisions import Decisions as Decisions
from sitewise.trial.operating.decisions import Outcome as Outcome
from sitewise.trial.operating.decisions import decide as decide
from sitewise.trial.operating.decisions import thresholds_of as thresholds_of
