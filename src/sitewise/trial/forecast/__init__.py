"""When patients and events come: forecasts with prediction intervals, before the start and from interim data."""

from sitewise.trial.forecast.before import forecast as forecast
from sitewise.trial.forecast.from_interim import forecast_from as forecast_from
from sitewise.trial.forecast.interim import InterimData as InterimData
from sitewise.trial.forecast.result import Forecast as Forecast
from sitewise.trial.forecast.site_counts import SiteRateEstimate as SiteRateEstimate
from sitewise.trial.forecast.site_counts import rates_from_sites as rates_from_sites
