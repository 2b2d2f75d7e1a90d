"""Looks at the accumulating data: bounds and predictive probabilities, calibrated thresholds, and what is decided when."""
