# Texts that differ only in their numbers: written from columns of kopecks.

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    DIGITS_MAX = 19

# All pairs of digits, one after another.
cdef const char *PAIRS = (
    b"00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    b"40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    b"8081828384858687888990919293949596979899")
cdef const char *HEX = b"0123456789abcdef"


cdef inline Py_ssize_t put_digits(uint8_t *out, uint64_t number) noexcept nogil:
    """Write a number in decimal; how many digits it has."""
    cdef uint64_t end = 10
    cdef Py_ssize_t size = 1, at
    cdef uint64_t pair
    while number >= end and size < DIGITS_MAX:
        end *= 10
        size += 1
    at = size
    while at >= 2:
        pair = number % 100
        number //= 100
        at -= 2
        memcpy(out + at, PAIRS + 2 * pair, 2)
    if at == 1:
        out[0] = <uint8_t> (c"0" + number)
    return size


@cython.final
@cython.auto_pickle(False)
cdef class Template:
    """A text with places for whole numbers; see the reference."""
    cdef bytes text
    cdef Py_ssize_t *ends  # of the pieces
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
        cdef uint8_t *begin
        self.expect_made()
        begin = <uint8_t *> PyMem_Malloc(<size_t> self.room())
        if begin == NULL:
            raise MemoryError()
        try:
            return PyBytes_FromStringAndSize(<char *> begin, self.put(begin, columns, 0))
        finally:
            PyMem_Free(begin)

    cdef int expect_made(self) except -1:
        if self.ends == NULL:
            raise TypeError("Expected a template that was made, was not")
        return 0

    cdef Py_ssize_t room(self) noexcept:
        """Bytes that the text takes at most."""
        return PyBytes_GET_SIZE(self.text) + self.places * DIGITS_MAX + 1

    cdef Py_ssize_t put_piece(self, uint8_t *out, Py_ssize_t place) noexcept:
        """Write what stands before a place, or behind the last; how many bytes it has."""
        cdef Py_ssize_t start = 0 if place == 0 else self.ends[place - 1]
        memcpy(out, PyBytes_AS_STRING(self.text) + start, <size_t> (self.ends[place] - start))
        return self.ends[place] - start

    cdef Py_ssize_t put(self, uint8_t *begin, tuple columns, Py_ssize_t first) except -1:
        """Write the text with the columns from the `first` on; how many bytes it has."""
        cdef Py_ssize_t count = PyTuple_GET_SIZE(columns) - first
        cdef Py_ssize_t i, j, place = 0, rows
        cdef int64_t number = 0
        cdef uint8_t *out = begin
        cdef object column
        for j in range(first, first + count):
            column = <object> PyTuple_GET_ITEM(columns, j)
            if not PyTuple_CheckExact(column) or PyTuple_GET_SIZE(column) * count != self.places:
                raise refusal(MALFORMED, "Expected tuples that fill a template, was other")
        if count == 0 and self.places != 0:
            raise refusal(MALFORMED, "Expected tuples that fill a template, was none")
        rows = self.places // count if count else 0
        for i in range(rows):
            for j in range(first, first + count):
                column = <object> PyTuple_GET_ITEM(columns, j)
                number = told_number(<object> PyTuple_GET_ITEM(column, i))
                out += self.put_piece(out, place)
                out += put_digits(out, <uint64_t> number)
                place += 1
        out += self.put_piece(out, place)
        return out - begin


cdef int64_t told_number(object value) except -1:
    cdef int64_t number = whole(value, "a number of a text")
    if not within(number, 0, INT64_MAX - 1):
        raise outside(MALFORMED, "a number of a text", number)
    return number


@cython.final
@cython.auto_pickle(False)
cdef class Sentence:
    """A text with places for values of several kinds; see the reference."""
    cdef Template frame
    cdef bytes kinds
    cdef Py_ssize_t usual  # bytes that the last text had

    def __init__(self, pieces, kinds):
        cdef Template frame = Template(pieces)
        if not PyUnicode_CheckExact(kinds) or set(kinds) - set("nlbtxf"):
            raise refusal(MALFORMED, "Expected kinds of values, was other")
        if len(kinds) != frame.places:
            raise refusal(MALFORMED, "Expected a kind for each place, was other")
        self.kinds = kinds.encode()
        self.frame = frame

    def filled(self, values):
        """The text with these values in its places, or None; see the reference."""
        cdef grown_t out
        cdef Py_ssize_t i
        cdef Template frame = self.frame
        if frame is None:
            raise TypeError("Expected a sentence that was made, was not")
        if not PyTuple_CheckExact(values) or PyTuple_GET_SIZE(values) != frame.places:
            raise refusal(MALFORMED, "Expected a tuple with every value, was other")
        memset(&out, 0, sizeof(grown_t))
        out.item = 1
        try:
            grow(&out, self.usual + frame.room())
            for i in range(frame.places):
                grow(&out, PyBytes_GET_SIZE(frame.text))
                out.used += frame.put_piece(<uint8_t *> out.items + out.used, i)
                if not put_value(&out, PyBytes_AS_STRING(self.kinds)[i],
                                 <object> PyTuple_GET_ITEM(values, i)):
                    return None
            grow(&out, PyBytes_GET_SIZE(frame.text))
            out.used += frame.put_piece(<uint8_t *> out.items + out.used, frame.places)
            self.usual = out.used
            return PyBytes_FromStringAndSize(out.items, out.used)
        finally:
            PyMem_Free(out.items)


cdef bint put_value(grown_t *out, char kind, object value) except -1:
    """Write one value; False where it cannot stand in a JSON text as it is."""
    cdef const char *content
    cdef Py_ssize_t size, i
    cdef Template inner
    if kind == c"n":
        put_whole(out, value)
    elif kind == c"l" and PyTuple_CheckExact(value):
        for i in range(PyTuple_GET_SIZE(value)):
            if i:
                put_content(out, b",", 1)
            put_whole(out, <object> PyTuple_GET_ITEM(value, i))
    elif kind == c"b" and PyBytes_CheckExact(value):
        put_content(out, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    elif kind == c"t" and PyUnicode_CheckExact(value):
        content = PyUnicode_AsUTF8AndSize(value, &size)
        for i in range(size):
            if <uint8_t> content[i] < 0x20 or content[i] == c'"' or content[i] == c"\\":
                return False
        put_content(out, content, size)
    elif kind == c"x" and PyBytes_CheckExact(value):
        grow(out, 2 * PyBytes_GET_SIZE(value))
        content = PyBytes_AS_STRING(value)
        for i in range(PyBytes_GET_SIZE(value)):
            out.items[out.used] = HEX[<uint8_t> content[i] >> 4]
            out.items[out.used + 1] = HEX[<uint8_t> content[i] & 15]
            out.used += 2
    elif (kind == c"f" and PyTuple_CheckExact(value) and PyTuple_GET_SIZE(value) > 0
            and type(<object> PyTuple_GET_ITEM(value, 0)) is Template):
        inner = <Template> PyTuple_GET_ITEM(value, 0)
        inner.expect_made()
        grow(out, inner.room())
        out.used += inner.put(<uint8_t *> out.items + out.used, <tuple> value, 1)
    else:
        raise refusal(
            MALFORMED, f"Expected a value of kind {chr(kind)}, was {errors.found(value)}")
    return True


cdef int put_whole(grown_t *out, object value) except -1:
    cdef int64_t number = told_number(value)
    grow(out, DIGITS_MAX)
    out.used += put_digits(<uint8_t *> out.items + out.used, <uint64_t> number)
    return 0


cdef int put_content(grown_t *out, const char *content, Py_ssize_t size) except -1:
    grow(out, size)
    memcpy(out.items + out.used, content, <size_t> size)
    out.used += size
    return 0
