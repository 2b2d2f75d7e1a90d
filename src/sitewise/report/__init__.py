"""Tables and pictures of what was computed elsewhere."""

from sitewise.report.analysis import Analysis
from sitewise.report.tables import all_tables, diagnostics
from sitewise.report.write import short_table, write_all

__all__ = ["Analysis", "all_tables", "diagnostics", "short_table", "write_all"]
