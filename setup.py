"""Builds the compiled splitting kernel; all other metadata stands in pyproject.toml.

A wheel is for the stable ABI of Python 3.11, so one serves that and every later Python. What is
built in place, and a wheel with SPLITCORE_NATIVE=1, is for the Python that builds it: a call from
there takes a fifth fewer instructions.

SPLITCORE_DEBUG=1 builds it without optimisation, with Cython's bounds checks, with the promises of
_arithmetic.h checked, and with a trap on undefined behaviour: for the debug run of the suite, as in
`SPLITCORE_DEBUG=1 python setup.py build_ext --build-lib DIR`.
"""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("SPLITCORE_DEBUG") == "1"
STABLE = "bdist_wheel" in sys.argv and os.environ.get("SPLITCORE_NATIVE") != "1"

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "cdivision": not DEBUG,
    "initializedcheck": DEBUG,
}
WARNINGS = ["-Wall", "-Wextra", "-Wsign-compare", "-Wshadow=local", "-Wno-unused-parameter"]
# The -fwrapv that Python itself is built with would define the overflows the trap is for.
TRAPS = ["-fno-wrapv", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]

kernel = Extension(
    "splitcore._kernel",
    sources=["splitcore/_kernel.pyx"],
    depends=[f"splitcore/{name}" for name in ("_abi.h", "_arithmetic.h", "_share_few.h")],
    include_dirs=["splitcore"],
    define_macros=[
        *([("SPLITCORE_DEBUG", "1")] if DEBUG else []),
        *([("Py_LIMITED_API", "0x030B0000")] if STABLE else []),
    ],
    py_limited_api=STABLE,
    extra_compile_args=[*WARNINGS, *(["-O0", "-g", *TRAPS] if DEBUG else ["-O3"])],
)

setup(
    ext_modules=cythonize([kernel], compiler_directives=DIRECTIVES),
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE else {},
)
