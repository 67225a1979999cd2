"""The values of a check. Verdicts are a report's facts and live with the reports, which may not look up to here."""

from tinydeploy.report.verdicts import CaseVerdict, CheckReport, Number, Result, Verdict

__all__ = ["CaseVerdict", "CheckReport", "Number", "Result", "Verdict"]
