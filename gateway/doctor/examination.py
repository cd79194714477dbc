"""From settings, which may be wrong themselves, to all findings; nothing here raises."""

import asyncio
from collections.abc import Mapping

from gateway import config
from gateway.calendar import BusinessDays, days_of
from gateway.config import Settings, StartRefused
from gateway.doctor import calendar, database, machine
from gateway.doctor.finding import Finding, ill, well
from gateway.domain.clock import Clock, SystemClock
from gateway.storage import data_directory, postgres

_EXAMINED_WITHIN_S = 60.0


def examine(
    given: Mapping[str, str | None], clock: Clock | None = None
) -> tuple[Settings | None, list[Finding]]:
    """The settings, where they can be read, and what was found."""
    try:
        settings = config.read(given=given)
    except StartRefused as refused:
        advice = "Mend the variables and options that it names; README.md lists the settings"
        return None, [ill("settings", str(refused), advice)]
    clock = clock or SystemClock()
    findings = [well("settings", "can be read and agree with each other")]
    findings += machine.examine(settings, clock.now())
    try:
        days = days_of(settings)
    except StartRefused as refused:
        advice = "Mend the file, or unset KOPECK_WORKING_CALENDAR: docs/business-days.md"
        findings.append(ill("calendar", str(refused), advice))
        return settings, findings
    findings += calendar.examine(settings, clock.now())
    try:
        with data_directory.database(settings, "doctor", made=True) as url:
            findings += asyncio.run(_database(url, clock, days))
    except (StartRefused, TimeoutError, OSError) as failure:
        told = str(failure) or type(failure).__name__
        advice = "Start the database, or give --data or --database of the one that was meant"
        findings.append(ill("database", told, advice))
    return settings, findings


async def _database(url: str, clock: Clock, days: BusinessDays) -> list[Finding]:
    async with asyncio.timeout(_EXAMINED_WITHIN_S):
        conn = await postgres.connect(url, "doctor")
        try:
            return [finding async for finding in database.examine(conn, clock, days)]
        finally:
            await conn.close()
