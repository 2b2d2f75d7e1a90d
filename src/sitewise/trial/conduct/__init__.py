"""Trials as they go: patients come, are allocated, have events, and are looked at."""

from sitewise.trial.conduct.held import Held as Held
from sitewise.trial.conduct.held import look_times as look_times
from sitewise.trial.conduct.simulate import simulate_trials as simulate_trials
from sitewise.trial.conduct.snapshot import Snapshot as Snapshot
from sitewise.trial.conduct.snapshot import snapshot as snapshot
from sitewise.trial.conduct.trials import Trials as Trials
