"""The same rule in plain C, built by gcc at -O3 when it is needed and called by ctypes."""

import ctypes
import subprocess
import tempfile
from array import array
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("plain_split.c")
BUILD = ("gcc", "-O3", "-shared", "-fPIC")


@cache
def _library() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory(prefix="kopeck-plain-") as folder:
        built = Path(folder) / "plain_split.so"
        subprocess.run([*BUILD, "-o", str(built), str(SOURCE)], check=True)
        library = ctypes.CDLL(str(built))
    numbers = ctypes.POINTER(ctypes.c_int64)
    library.plain_split.argtypes = [ctypes.c_int64, ctypes.c_int, numbers, numbers, numbers]
    library.plain_split.restype = None
    return library


class PlainSplit:
    """Payments over flat int64 buffers; `shares` holds the kopecks of each charge after `run`."""

    def __init__(self, amounts: "array[int]", dues: "array[int]", charges: int) -> None:
        self.shares = array("q", bytes(8 * len(dues)))
        self._split = _library().plain_split
        self._kept = (amounts, dues)
        self._arguments = (
            len(amounts),
            charges,
            *(_pointer(numbers) for numbers in (amounts, dues, self.shares)),
        )

    def run(self) -> None:
        """Split all of them once, in a C loop."""
        self._split(*self._arguments)


def _pointer(numbers: "array[int]") -> object:
    start, _ = numbers.buffer_info()
    return ctypes.cast(start, ctypes.POINTER(ctypes.c_int64))
