"""Builds the compiled splitting kernel; all other metadata stands in pyproject.toml.

SPLITCORE_DEBUG=1 builds with bounds checks and without optimisation, for the debug run of the suite.
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("SPLITCORE_DEBUG") == "1"

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "cdivision": not DEBUG,
    "initializedcheck": DEBUG,
    "freethreading_compatible": True,
}

kernel = Extension(
    "splitcore._kernel",
    sources=["splitcore/_kernel.pyx"],
    extra_compile_args=["-O0", "-g"] if DEBUG else ["-O3"],
)

setup(ext_modules=cythonize([kernel], compiler_directives=DIRECTIVES))
