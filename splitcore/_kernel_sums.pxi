# Sums of packed vectors: what a settlement batch owes, added up place by place.

cdef enum:
    SUM_BITS = 61


@cython.final
@cython.auto_pickle(False)
cdef class PackedSums:
    """The sums of packed vectors of one length, place by place; see the reference."""
    cdef int64_t *sums
    cdef int64_t *values
    cdef Py_ssize_t places
    cdef list carried

    def __cinit__(self):
        self.sums = NULL

    def __init__(self, places):
        cdef int64_t count = whole(places, "places")
        if self.sums != NULL:
            raise TypeError("Expected sums made once, was made again")
        if not within(count, 1, PARTS_MAX):
            raise refusal(MALFORMED, f"Expected 1 to {PARTS_MAX} places, was {places}")
        self.sums = <int64_t *> PyMem_Malloc(<size_t> count * 2 * sizeof(int64_t))
        if self.sums == NULL:
            raise MemoryError()
        memset(self.sums, 0, <size_t> count * sizeof(int64_t))
        self.values = self.sums + count
        self.places = <Py_ssize_t> count
        self.carried = [0] * count

    def __dealloc__(self):
        PyMem_Free(self.sums)

    def add(self, object packed):
        """Add a vector, each of its integers to the sum of its place."""
        if packed_count(packed) != self.places:
            raise refusal(MALFORMED, f"Expected a vector of {self.places} places, was another")
        self.add_values(<const uint8_t *> PyBytes_AS_STRING(packed))

    def add_all(self, object strung):
        """Add vectors strung together: how many there were; see the reference."""
        cdef const uint8_t *at
        cdef const uint8_t *end
        cdef Py_ssize_t size
        cdef int64_t count = 0
        if not PyBytes_CheckExact(strung):
            raise refusal(MALFORMED, "Expected packed vectors in bytes, was other")
        at = <const uint8_t *> PyBytes_AS_STRING(strung)
        end = at + PyBytes_GET_SIZE(strung)
        while at < end:
            size = packed_size(at, end, self.places)
            if size < 0:
                raise refusal(MALFORMED, f"Expected vectors of {self.places} places, was other")
            self.add_values(at)
            at += size
            count += 1
        return count

    cdef int add_values(self, const uint8_t *start) except -1:
        cdef Py_ssize_t i
        if read_packed(start, self.places, self.values) < 0:
            raise refusal(MALFORMED, "Expected values from 0, was a negative one")
        for i in range(self.places):
            if (self.values[i] | self.sums[i]) >> SUM_BITS:
                # Python's integers hold what 64 bits soon might not.
                self.carried[i] += self.sums[i]
                self.carried[i] += self.values[i]
                self.sums[i] = 0
            else:
                self.sums[i] += self.values[i]
        return 0

    def totals(self):
        """The sum of each place."""
        return [self.carried[i] + self.sums[i] for i in range(self.places)]
