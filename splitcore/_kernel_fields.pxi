# Rows of fields as a binary COPY takes them: lengths and contents, without an object a field.

cdef enum:
    FIELDS_MAX = 1600
    FIELD_FIXED = 12  # the length of a field, and the widest integer


@cython.final
@cython.auto_pickle(False)
cdef class FieldRows:
    """Rows of one shape; see the reference."""
    cdef bytes kinds
    cdef Py_ssize_t fields
    cdef uint16_t count

    def __init__(self, kinds, alike):
        if (not PyUnicode_CheckExact(kinds) or not PyLong_CheckExact(alike)
                or set(kinds) - set("hiqbt")):
            raise refusal(MALFORMED, "Expected kinds of fields, was other")
        if not (1 <= len(kinds) <= FIELDS_MAX and 0 <= alike <= FIELDS_MAX):
            raise refusal(MALFORMED, f"Expected 1..{FIELDS_MAX} fields, was other")
        self.kinds = kinds.encode()
        self.fields = len(kinds)
        self.count = <uint16_t> (self.fields + <Py_ssize_t> alike)

    def packed(self, rows, end):
        """The rows, each with the fields `end` behind its own; see the reference."""
        cdef grown_t out
        cdef Py_ssize_t last
        if not PyBytes_CheckExact(end):
            raise refusal(MALFORMED, f"Expected bytes, was {errors.found(end)}")
        if self.fields == 0:
            raise TypeError("Expected rows that were made, were not")
        last = PyBytes_GET_SIZE(end)
        memset(&out, 0, sizeof(grown_t))
        out.item = 1
        try:
            for row in rows:
                if not PyTuple_CheckExact(row) or PyTuple_GET_SIZE(row) != self.fields:
                    raise refusal(MALFORMED, "Expected a tuple with every field, was other")
                self.put_row(&out, <tuple> row, PyBytes_AS_STRING(end), last)
            return PyBytes_FromStringAndSize(out.items, out.used)
        finally:
            PyMem_Free(out.items)

    cdef int put_row(self, grown_t *out, tuple row, const char *end, Py_ssize_t last) except -1:
        cdef const char *kinds = PyBytes_AS_STRING(self.kinds)
        cdef Py_ssize_t i, size
        cdef const char *content
        cdef object value
        cdef int64_t number
        cdef int width
        grow(out, 2 + self.fields * FIELD_FIXED + last)
        put_big(out, self.count, 2)
        for i in range(self.fields):
            value = <object> PyTuple_GET_ITEM(row, i)
            if value is None:
                put_big(out, -1, 4)
                continue
            if kinds[i] == c"b" and PyBytes_CheckExact(value):
                content = PyBytes_AS_STRING(value)
                size = PyBytes_GET_SIZE(value)
            elif kinds[i] == c"t" and PyUnicode_CheckExact(value):
                content = PyUnicode_AsUTF8AndSize(value, &size)
            else:
                width = 2 if kinds[i] == c"h" else 4 if kinds[i] == c"i" else 8
                if kinds[i] == c"b" or kinds[i] == c"t" or not PyLong_CheckExact(value) \
                        or not read_sized(value, width, &number):
                    raise not_a_field(kinds[i], value)
                put_big(out, width, 4)
                put_big(out, number, width)
                continue
            if size > INT32_MAX:
                raise not_a_field(kinds[i], value)
            put_big(out, size, 4)
            # Room for what is left of the row is kept beyond every content.
            grow(out, size + (self.fields - i) * FIELD_FIXED + last)
            memcpy(out.items + out.used, content, <size_t> size)
            out.used += size
        memcpy(out.items + out.used, end, <size_t> last)
        out.used += last
        return 0


cdef object not_a_field(char kind, object value):
    return refusal(
        MALFORMED, f"Expected a field of kind {chr(kind)}, was {errors.found(value)}")


cdef bint read_sized(object value, int width, int64_t *number) except -1:
    """Whether an integer has at most `width` bytes; then it is read."""
    cdef int overflow = 0
    number[0] = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow:
        return False
    return width == 8 or (-(1LL << (8 * width - 1)) <= number[0] < 1LL << (8 * width - 1))


cdef inline void put_big(grown_t *out, int64_t number, int width) noexcept nogil:
    """An integer of `width` bytes, the highest first, where there is room for it."""
    cdef uint64_t turned = big64(<uint64_t> number << (64 - 8 * width))
    memcpy(out.items + out.used, &turned, <size_t> width)
    out.used += width
