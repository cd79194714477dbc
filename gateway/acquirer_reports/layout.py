"""A layout: which column of an acquirer's file holds what, where its control totals stand.

A layout is data (TOML), so that another bank's file needs no code. Columns count from 1.
"""

import re
import tomllib
import zoneinfo
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.acquirer_reports.fields import FormatMisfit, pattern_of

FORMAT_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
AUTO: Final = "auto"
_SEPARATORS: Final = {"tab": "\t", "blank": None}

Column = Annotated[int, Meta(ge=1, le=200)]
Start = Annotated[str, Meta(min_length=1, max_length=32)]
Total = Literal["count", "sum", "transfer", "fee", "order", "order_date", "other"]


class LayoutMisfit(ValueError):
    """A descriptor that describes no layout; the message says what was expected."""


class Columns(Struct, frozen=True, forbid_unknown_fields=True):
    """The columns of a row. `sum` is what the payer handed over; where `transfer` and `fee` are
    told, they must add up to it. `separator` is one sign, `tab`, or `blank` for a run of spaces.
    """

    separator: str
    count: Column
    account: Column
    sum: Column
    operation: Column | None = None
    date: Column | None = None
    time: Column | None = None
    transfer: Column | None = None
    fee: Column | None = None


class Footer(Struct, frozen=True, forbid_unknown_fields=True):
    """The line that ends a file, known by its first signs; `totals` names its fields in
    order: what rows add up to, and the payment order by which the money comes.
    """

    starts: list[Start]
    totals: list[Total]
    required: bool = True


class Header(Struct, frozen=True, forbid_unknown_fields=True):
    """What stands before the rows: so many lines, or lines with these first signs.

    `sum` is the word before the sum of all rows.
    """

    lines: Annotated[int, Meta(ge=0, le=100)] = 0
    starts: list[Start] = []
    sum: str | None = None


class Layout(Struct, frozen=True, forbid_unknown_fields=True):
    """One layout of the format of this name; a format may have several.

    `operation_unique`: for the bank for ever, or only within one file. `unit`: of sums; roubles
    may have kopecks behind a comma or a dot. `date_format`: such as DD.MM.YY, where dates are in
    none of the usual forms. `timezone`: of dates and times, the region's where it is not told.
    """

    format: str
    columns: Columns
    footer: Footer | None = None
    header: Header = Header()
    operation_unique: Literal["bank", "file"] = "bank"
    unit: Literal["roubles", "kopecks"] = "roubles"
    date_format: str | None = None
    timezone: str | None = None
    method: Literal["cash", "card", "mir", "qr", "sbp"] = "cash"

    @property
    def separator(self) -> str | None:
        """The separator as str.split takes it."""
        told = self.columns.separator
        return _SEPARATORS.get(told, told)


def read_layout(content: bytes) -> Layout:
    """The layout that a descriptor describes; raises LayoutMisfit."""
    try:
        layout = msgspec.convert(tomllib.loads(content.decode()), Layout)
    except (ValueError, RecursionError) as misfit:
        raise LayoutMisfit(str(misfit).partition("\n")[0]) from None
    if FORMAT_NAME.fullmatch(layout.format) is None or layout.format == AUTO:
        raise LayoutMisfit("Expected format as a-z 0-9 _ -, and not auto")
    _check_columns(layout.columns)
    _check_totals(layout)
    try:
        if layout.date_format is not None:
            pattern_of(layout.date_format)
        if layout.timezone is not None:
            zoneinfo.ZoneInfo(layout.timezone)
    except FormatMisfit as misfit:
        raise LayoutMisfit(str(misfit)) from None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise LayoutMisfit("Expected timezone such as Europe/Moscow") from None
    return layout


def _check_columns(columns: Columns) -> None:
    separator = columns.separator
    if separator not in _SEPARATORS and (len(separator) != 1 or separator in "\r\n"):
        raise LayoutMisfit("Expected separator of one sign, tab or blank")
    named = [
        number
        for name in columns.__struct_fields__
        if name not in ("separator", "count") and (number := getattr(columns, name)) is not None
    ]
    if max(named) > columns.count or len(set(named)) < len(named):
        raise LayoutMisfit("Expected every column once, and within count")
    if (columns.transfer is None) != (columns.fee is None):
        raise LayoutMisfit("Expected both transfer and fee, or neither")
    if columns.time is not None and columns.date is None:
        raise LayoutMisfit("Expected date beside time")


def _check_totals(layout: Layout) -> None:
    header, footer = layout.header, layout.footer
    if header.sum is not None and not header.sum.startswith(tuple(header.starts)):
        raise LayoutMisfit("Expected header.sum to begin as one of header.starts")
    if footer is None:
        return
    told = [name for name in footer.totals if name != "other"]
    if not footer.starts or len(set(told)) < len(told):
        raise LayoutMisfit("Expected footer.starts, and every total once")
    if layout.columns.transfer is None and {"transfer", "fee"} & set(told):
        raise LayoutMisfit("Expected columns transfer and fee for totals of them")
