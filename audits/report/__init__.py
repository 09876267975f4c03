"""Transparency reports: a period of the audit log, counted from its leaves alone."""

from audits.report.count import Report, report
from audits.report.leaves import public_leaves
from audits.report.page import page

__all__ = ["Report", "page", "public_leaves", "report"]
