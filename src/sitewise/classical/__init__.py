"""The classical analysis of survival for many cohorts at once: Cox, Kaplan-Meier, log-rank, follow-up."""

from sitewise.classical.cox import CoxFits, cox
from sitewise.classical.cox_kernel import cox_score_information
from sitewise.classical.follow_up import FollowUpOf, follow_up
from sitewise.classical.kaplan_meier import KaplanMeierAt, Medians, kaplan_meier_at, kaplan_meier_median
from sitewise.classical.log_rank import LogRank, log_rank
from sitewise.classical.ordering import Ordered

__all__ = [
    "CoxFits",
    "FollowUpOf",
    "KaplanMeierAt",
    "LogRank",
    "Medians",
    "Ordered",
    "cox",
    "cox_score_information",
    "follow_up",
    "kaplan_meier_at",
    "kaplan_meier_median",
    "log_rank",
]
