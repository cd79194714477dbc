"""Working days and business days: the Russian production calendar, and the days of batches."""

from gateway.calendar.days import BatchDays, BusinessDays, days_of
from gateway.calendar.production import ProductionCalendar

__all__ = ["BatchDays", "BusinessDays", "ProductionCalendar", "days_of"]
