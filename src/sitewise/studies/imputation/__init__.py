"""Missing covariates: completed cohorts from the joint posterior, and their fits pooled."""

from sitewise.studies.imputation.impute import impute
from sitewise.studies.imputation.imputations import Imputations

__all__ = ["Imputations", "impute"]
