"""Many fits with a purpose."""

from sitewise.studies.site_models import site_models

__all__ = ["site_models"]
