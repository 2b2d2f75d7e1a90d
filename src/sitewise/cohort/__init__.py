"""Patient tables, validated once: reading, Kaplan-Meier, follow-up, counts; packaged real cohorts."""

from sitewise.cohort.columns import Columns, Recode
from sitewise.cohort.files import read_table
from sitewise.cohort.kaplan_meier import KaplanMeier, kaplan_meier
from sitewise.cohort.packaged import PACKAGED, packaged_path
from sitewise.cohort.site_means import with_site_means
from sitewise.cohort.table import Cohort

__all__ = [
    "PACKAGED",
    "Cohort",
    "Columns",
    "KaplanMeier",
    "Recode",
    "kaplan_meier",
    "packaged_path",
    "read_table",
    "with_site_means",
]
