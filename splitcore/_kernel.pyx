# cython: language_level=3
"""The compiled splitting kernel: the same names and results as the reference, over flat buffers.

Below the border everything is integers in C, without the GIL and without a Python object a charge.
It imports libc and the shared codes, limits and shapes, and nothing else.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, \
    PyBytes_GET_SIZE
from cpython.dict cimport PyDict_CheckExact, PyDict_GetItem, PyDict_Next, PyDict_Size
from cpython.list cimport PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE, PyList_New
from cpython.long cimport PyLong_CheckExact
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdint cimport INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, int16_t, int32_t, int64_t, \
    uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from splitcore import errors, limits
from splitcore.errors import ConservationBroken, GroupFull, SplitError
from splitcore.shapes import Allocation, FeeRule, GroupAllocation

include "_kernel_border.pxi"
include "_kernel_split.pxi"
include "_kernel_plan.pxi"
include "_kernel_allocation.pxi"
include "_kernel_payment.pxi"
include "_kernel_group.pxi"
include "_kernel_case.pxi"
include "_kernel_sums.pxi"
include "_kernel_template.pxi"
include "_kernel_fields.pxi"
include "_kernel_rows.pxi"
include "_kernel_text.pxi"
include "_kernel_forms.pxi"
