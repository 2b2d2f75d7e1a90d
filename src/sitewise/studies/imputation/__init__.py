"""Missing covariates: completed cohorts from the joint posterior, and their fits pooled."""

from sitewise.studies.imputation.imputations import Imputations
from sitewise.studies.imputation.impute import impute
from sitewise.studies.imputation.pooled_fit import ImputedFit, fit_imputed

__all__ = ["Imputations", "ImputedFit", "fit_imputed", "impute"]
