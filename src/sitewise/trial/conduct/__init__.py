"""Trials as they go: patients come, are allocated, have events, and are looked at."""

from sitewise.trial.conduct.snapshot import Snapshot as Snapshot
from sitewise.trial.conduct.trials import Trials as Trials
