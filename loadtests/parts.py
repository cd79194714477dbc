"""Every part of the table by its name, in the order they are taken. A new part is one line here."""

from loadtests.rows import (
    acquirer_report,
    bills,
    hot_spots,
    http,
    latency,
    overload,
    registers,
    settlement,
    size,
    splitting,
    stored,
)
from loadtests.stage import Part

PARTS: dict[str, Part] = {
    "splitting": splitting.part,
    "bills": bills.part,
    "http": http.part,
    "alone": http.alone_part,
    "latency": latency.part,
    "hot_spots": hot_spots.part,
    "registers": registers.part,
    "overload": overload.part,
    "bulk": stored.bulk_part,
    "settlement": settlement.part,
    "acquirer_report": acquirer_report.part,
    "size": size.part,
}
