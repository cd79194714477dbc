# Texts that differ only in their numbers: written from columns of kopecks.

cdef enum:
    DIGITS_MAX = 19


cdef inline Py_ssize_t put_digits(uint8_t *out, uint64_t number) noexcept nogil:
    """Write a number in decimal; how many digits it has."""
    cdef uint8_t digits[DIGITS_MAX + 1]
    cdef Py_ssize_t at = DIGITS_MAX + 1
    while True:
        at -= 1
        digits[at] = <uint8_t> (c"0" + number % 10)
        number //= 10
        if number == 0:
            break
    memcpy(out, digits + at, <size_t> (DIGITS_MAX + 1 - at))
    return DIGITS_MAX + 1 - at


@cython.final
@cython.auto_pickle(False)
cdef class Template:
    """A text with places for whole numbers; see the reference."""
    cdef bytes text
    cdef Py_ssize_t *ends
    cdef Py_ssize_t places

    def __cinit__(self):
        self.ends = NULL

    def __init__(self, pieces):
        cdef Py_ssize_t i, at = 0
        if self.ends != NULL:
            raise TypeError("Expected a template made once, was made again")
        told = list(pieces)
        if not told or not all(type(piece) is bytes for piece in told):
            raise refusal(MALFORMED, "Expected pieces of bytes, at least one")
        self.ends = <Py_ssize_t *> PyMem_Malloc(<size_t> len(told) * sizeof(Py_ssize_t))
        if self.ends == NULL:
            raise MemoryError()
        for i in range(len(told)):
            at += len(told[i])
            self.ends[i] = at
        self.text = b"".join(told)
        self.places = len(told) - 1

    def __dealloc__(self):
        PyMem_Free(self.ends)

    def filled(self, *columns):
        """The text with the rows of these columns of integers in its places, one after another."""
        cdef Py_ssize_t count = PyTuple_GET_SIZE(columns)
        cdef Py_ssize_t i, place = 0, rows, start = 0
        cdef int64_t number = 0
        cdef uint8_t *begin
        cdef uint8_t *out
        cdef const uint8_t *text
        cdef object column
        if self.ends == NULL:
            raise TypeError("Expected a template that was made, was not")
        text = <const uint8_t *> PyBytes_AS_STRING(self.text)
        for i in range(count):
            column = <object> PyTuple_GET_ITEM(columns, i)
            if not PyTuple_CheckExact(column) or PyTuple_GET_SIZE(column) * count != self.places:
                raise refusal(MALFORMED, "Expected tuples that fill a template, was other")
        if count == 0 and self.places != 0:
            raise refusal(MALFORMED, "Expected tuples that fill a template, was none")
        rows = self.places // count if count else 0
        begin = <uint8_t *> PyMem_Malloc(
            <size_t> (PyBytes_GET_SIZE(self.text) + self.places * DIGITS_MAX + 1))
        if begin == NULL:
            raise MemoryError()
        try:
            out = begin
            for i in range(rows):
                for column in columns:
                    number = whole(<object> PyTuple_GET_ITEM(column, i), "a number of a text")
                    if not within(number, 0, INT64_MAX - 1):
                        raise outside(MALFORMED, "a number of a text", number)
                    memcpy(out, text + start, <size_t> (self.ends[place] - start))
                    out += self.ends[place] - start
                    start = self.ends[place]
                    out += put_digits(out, <uint64_t> number)
                    place += 1
            memcpy(out, text + start, <size_t> (self.ends[place] - start))
            out += self.ends[place] - start
            return PyBytes_FromStringAndSize(<char *> begin, out - begin)
        finally:
            PyMem_Free(begin)
