"""`kopeck doctor`: what would hurt soon, and what to do about it. It changes nothing."""

from gateway.doctor.bundle import write_bundle
from gateway.doctor.examination import examine
from gateway.doctor.finding import Finding, worst

__all__ = ["Finding", "examine", "worst", "write_bundle"]
