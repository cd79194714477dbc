"""Kopecks as people read them. Pure; no float comes near."""

KOPECKS_IN_ROUBLE = 100
# A narrow space that no line breaks at, as Russian typography parts thousands.
_THOUSANDS = "\u202f"


def roubles(kopecks: int) -> str:
    """`1 234 567.89` for 123456789 kopecks; a true minus sign before negative amounts.

    TypeError for anything but an int: a bool or a float here would be a bug of the caller.
    """
    if type(kopecks) is not int:
        raise TypeError(f"Expected whole kopecks, was {type(kopecks).__name__}")
    whole, rest = divmod(abs(kopecks), KOPECKS_IN_ROUBLE)
    sign = "\u2212" if kopecks < 0 else ""
    return f"{sign}{whole:,}.{rest:02d}".replace(",", _THOUSANDS)


def percent(ppm: int) -> str:
    """`1.5 %` for 15000 parts per million."""
    whole, rest = divmod(ppm, 10_000)
    decimals = f".{rest:04d}".rstrip("0").rstrip(".")
    return f"{whole}{decimals}{_THOUSANDS}%"
