"""Every part of the table by its name, in the order they are taken. A new part is one line here."""

from loadtests.rows import http, splitting, stored
from loadtests.stage import Part

PARTS: dict[str, Part] = {
    "splitting": splitting.part,
    "bills": stored.bills_part,
    "http": http.part,
    "alone": http.alone_part,
    "bulk": stored.bulk_part,
}
