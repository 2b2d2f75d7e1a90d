"""Campaigns: many trials of a design in several worlds, simulated and analysed."""

from sitewise.trial.campaign.results import TrialResults as TrialResults
from sitewise.trial.campaign.run import run_campaign as run_campaign
from sitewise.trial.campaign.worlds import World as World
from sitewise.trial.campaign.worlds import worlds_of as worlds_of
