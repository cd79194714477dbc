# Texts of one form, read by one pass: values are taken out of their places, and written elsewhere.

cdef extern from "Python.h":
    object PyUnicode_DecodeASCII(const char *content, Py_ssize_t size, const char *how)

cdef enum:
    FORM_PLACES_MAX = 32
    FORM_DIGITS_MAX = 18
    SIGNS = 256

cdef struct run_t:
    # So many signs of an alphabet, one after another; `last` ends the value of a place.
    Py_ssize_t least
    Py_ssize_t most
    bint last
    uint8_t known[SIGNS]

cdef struct value_t:
    # What stands in a place.
    const uint8_t *begin
    Py_ssize_t size


cdef int read_places(object told, Py_ssize_t count, list into) except -1:
    """Numbers of places, checked and added to a list."""
    for place in told:
        if not PyLong_CheckExact(place) or not 0 <= place < count:
            raise refusal(MALFORMED, "Expected the number of a place, was other")
        into.append(place)
    return 0


cdef int read_run(run_t *run, object alphabet, object least, object most) except -1:
    if not (type(alphabet) is bytes and alphabet.isascii() and type(least) is int
            and type(most) is int and 0 <= least <= most <= INT32_MAX):
        raise refusal(MALFORMED, "Expected an ASCII alphabet and bounds, was other")
    run.least = least
    run.most = most
    for sign in alphabet:
        run.known[<uint8_t> sign] = 1
    return 0


@cython.final
@cython.auto_pickle(False)
cdef class TextForm:
    """A text whose places hold values of known alphabets; see the reference."""
    cdef list pieces
    cdef run_t *runs
    cdef Py_ssize_t places
    cdef list chosen  # places, each with its kind behind it in `kinds`
    cdef bytes kinds
    cdef list written  # of each text its pieces, and the places between them

    def __cinit__(self):
        self.runs = NULL

    def __init__(self, pieces, values, chosen, written):
        if self.runs != NULL:
            raise TypeError("Expected a form made once, was made again")
        self.pieces = list(pieces)
        told = [list(value) for value in values]
        self.places = len(told)
        if (len(self.pieces) != self.places + 1 or not all(told)
                or self.places > FORM_PLACES_MAX
                or not all(type(piece) is bytes for piece in self.pieces)):
            raise refusal(MALFORMED, "Expected a piece of bytes around each value, was other")
        self.chosen = []
        self.kinds = b"".join([self.read_kind(kind) for _, kind in chosen])
        read_places([place for place, _ in chosen], self.places, self.chosen)
        self.written = []
        for text, at in written:
            self.read_written(list(text), list(at))
        self.read_runs(told)

    def __dealloc__(self):
        PyMem_Free(self.runs)

    cdef bytes read_kind(self, object kind):
        if not PyUnicode_CheckExact(kind) or kind not in ("b", "t", "n"):
            raise refusal(MALFORMED, "Expected the kind of a value, was other")
        return kind.encode()

    cdef int read_written(self, list text, list at) except -1:
        cdef list places = []
        read_places(at, self.places, places)
        if len(text) != len(at) + 1 or not all(type(piece) is bytes for piece in text):
            raise refusal(MALFORMED, "Expected a piece of bytes around each place, was other")
        self.written.append((text, places))
        return 0

    cdef int read_runs(self, list told) except -1:
        cdef Py_ssize_t i = 0, count = sum([len(value) for value in told])
        cdef run_t *runs = <run_t *> PyMem_Malloc(<size_t> (count + 1) * sizeof(run_t))
        if runs == NULL:
            raise MemoryError()
        memset(runs, 0, <size_t> (count + 1) * sizeof(run_t))
        try:
            for value in told:
                for alphabet, least, most in value:
                    read_run(&runs[i], alphabet, least, most)
                    i += 1
                runs[i - 1].last = True
            self.runs, runs = runs, NULL
        finally:
            PyMem_Free(runs)
        return 0

    def read(self, bytes text not None, Py_ssize_t place=-1, bytes spelt not None=b""):
        """The chosen values and the texts that are written of all, or None; see the reference."""
        cdef value_t values[FORM_PLACES_MAX]
        cdef Py_ssize_t i, count, size
        cdef tuple result
        cdef object made
        if self.runs == NULL:
            raise TypeError("Expected a form that was made, was not")
        if not self.taken_apart(
                <const uint8_t *> PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), values):
            return None
        if 0 <= place < self.places:
            values[place].begin = <const uint8_t *> PyBytes_AS_STRING(spelt)
            values[place].size = PyBytes_GET_SIZE(spelt)
        count = PyBytes_GET_SIZE(self.kinds)
        size = PyList_GET_SIZE(self.written)
        result = PyTuple_New(count + size)
        for i in range(count + size):
            if i < count:
                made = value_of(
                    PyBytes_AS_STRING(self.kinds)[i],
                    &values[<Py_ssize_t> <object> PyList_GET_ITEM(self.chosen, i)])
                if made is None:
                    return None
            else:
                made = written_of(<tuple> PyList_GET_ITEM(self.written, i - count), values)
            Py_INCREF(made)
            PyTuple_SET_ITEM(result, i, <PyObject *> made)
        return result

    cdef bint taken_apart(
        self, const uint8_t *at, Py_ssize_t size, value_t *values
    ) except -1:
        """Find each place's value; False for a text of another form."""
        cdef const uint8_t *end = at + size
        cdef const run_t *run = self.runs
        cdef const uint8_t *begin
        cdef Py_ssize_t i, most
        cdef bint last
        for i in range(self.places + 1):
            piece = <object> PyList_GET_ITEM(self.pieces, i)
            size = PyBytes_GET_SIZE(piece)
            if end - at < size or memcmp(at, PyBytes_AS_STRING(piece), <size_t> size) != 0:
                return False
            at += size
            if i == self.places:
                break
            values[i].begin = at
            while True:
                begin = at
                most = min(run.most, end - at)
                while at - begin < most and run.known[at[0]]:
                    at += 1
                if at - begin < run.least:
                    return False
                last = run.last
                run += 1
                if last:
                    break
            values[i].size = at - values[i].begin
        return at == end


cdef object value_of(char kind, const value_t *value):
    """A value as bytes (b), as a text (t) or as a number (n); None for no number of few digits."""
    cdef int64_t number = 0
    cdef Py_ssize_t i
    if kind == c"b":
        return PyBytes_FromStringAndSize(<const char *> value.begin, value.size)
    if kind == c"t":
        return PyUnicode_DecodeASCII(<const char *> value.begin, value.size, NULL)
    if not 0 < value.size <= FORM_DIGITS_MAX:
        return None
    for i in range(value.size):
        if not is_digit(value.begin[i]):
            return None
        number = 10 * number + (value.begin[i] - c"0")
    return number


cdef bytes written_of(tuple text, const value_t *values):
    """A text with values between its pieces."""
    cdef list pieces = <list> PyTuple_GET_ITEM(text, 0)
    cdef list places = <list> PyTuple_GET_ITEM(text, 1)
    cdef Py_ssize_t i, size = 0, count = PyList_GET_SIZE(places)
    cdef const value_t *value
    cdef bytes made
    cdef char *out
    for i in range(count + 1):
        size += PyBytes_GET_SIZE(<object> PyList_GET_ITEM(pieces, i))
        if i < count:
            size += values[<Py_ssize_t> <object> PyList_GET_ITEM(places, i)].size
    made = PyBytes_FromStringAndSize(NULL, size)
    out = PyBytes_AS_STRING(made)
    for i in range(count + 1):
        piece = <object> PyList_GET_ITEM(pieces, i)
        size = PyBytes_GET_SIZE(piece)
        memcpy(out, PyBytes_AS_STRING(piece), <size_t> size)
        out += size
        if i < count:
            value = &values[<Py_ssize_t> <object> PyList_GET_ITEM(places, i)]
            memcpy(out, value.begin, <size_t> value.size)
            out += value.size
    return made
