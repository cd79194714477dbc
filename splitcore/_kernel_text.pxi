# Whole numbers in JSON text: taken out and packed, so that what is left can be known again.

cdef enum:
    TEXT_BYTES_MAX = 8192
    TEXT_NUMBERS_MAX = 1024

cdef struct text_t:
    # Where reading stands in a text and writing in what is left of it, and what was taken out.
    const uint8_t *bytes
    Py_ssize_t size
    Py_ssize_t at
    Py_ssize_t kept  # up to here the text is copied or taken out
    Py_ssize_t left
    Py_ssize_t named_from
    Py_ssize_t named_to  # 0 until the named string was met
    int count
    int64_t numbers[TEXT_NUMBERS_MAX]
    uint8_t rest[TEXT_BYTES_MAX]


cdef inline bint is_digit(uint8_t byte) noexcept nogil:
    return c"0" <= byte <= c"9"


cdef inline bint is_space(uint8_t byte) noexcept nogil:
    return byte == c" " or byte == c"\t" or byte == c"\r" or byte == c"\n"


cdef inline void keep_to(text_t *text, Py_ssize_t end) noexcept nogil:
    """Copy what was not copied yet, up to `end`; never more than there was."""
    memcpy(text.rest + text.left, text.bytes + text.kept, <size_t> (end - text.kept))
    text.left += end - text.kept
    text.kept = end


cdef inline Py_ssize_t closed_at(const text_t *text, Py_ssize_t opened) noexcept nogil:
    """The place of the quote that closes the string opened at `opened`, -1 where none does."""
    cdef const uint8_t *begin = text.bytes + opened + 1
    cdef const void *found = memchr(begin, c'"', <size_t> (text.size - opened - 1))
    return -1 if found == NULL else <const uint8_t *> found - text.bytes


cdef inline Py_ssize_t past_spaces(const text_t *text, Py_ssize_t at) noexcept nogil:
    while at < text.size and is_space(text.bytes[at]):
        at += 1
    return at


cdef bint take_number(text_t *text) noexcept nogil:
    """Take out the number at `at`; False for one that is not plain, whole and within limits."""
    cdef const uint8_t *bytes = text.bytes
    cdef Py_ssize_t first = text.at, at = text.at
    cdef int64_t number = 0
    cdef uint8_t before = bytes[first - 1] if first > 0 else c" "
    while at < text.size and is_digit(bytes[at]):
        number = number * 10 + (bytes[at] - c"0")
        if number > AMOUNT_MAX:
            return False
        at += 1
    if bytes[first] == c"0" and at - first > 1:
        return False
    if before == c"-" or before == c"+" or before == c".":
        return False
    if at < text.size and (bytes[at] == c"." or bytes[at] == c"e" or bytes[at] == c"E"):
        return False
    if text.count == TEXT_NUMBERS_MAX:
        return False
    text.numbers[text.count] = number
    text.count += 1
    keep_to(text, first)
    text.rest[text.left] = c"0"
    text.left += 1
    text.kept = text.at = at
    return True


cdef bint take_named(text_t *text) noexcept nogil:
    """Take out the string after a colon at `at`, leaving its quotes; False where there is none."""
    cdef Py_ssize_t at = past_spaces(text, text.at)
    cdef Py_ssize_t closed
    if at == text.size or text.bytes[at] != c":":
        return False
    at = past_spaces(text, at + 1)
    if at == text.size or text.bytes[at] != c'"':
        return False
    closed = closed_at(text, at)
    if closed < 0:
        return False
    text.named_from = at + 1
    text.named_to = closed
    keep_to(text, at + 1)
    text.kept = closed
    text.at = closed + 1
    return True


cdef bint take_apart(text_t *text, const uint8_t *key, Py_ssize_t key_size) noexcept nogil:
    """Take a text apart; False where it is not so plain that what is left tells all of it."""
    cdef Py_ssize_t closed
    cdef uint8_t byte
    if memchr(text.bytes, c"\\", <size_t> text.size) != NULL:
        return False
    while text.at < text.size:
        byte = text.bytes[text.at]
        if byte == c'"':
            closed = closed_at(text, text.at)
            if closed < 0:
                return False
            if (text.named_to == 0 and closed - text.at - 1 == key_size
                    and memcmp(text.bytes + text.at + 1, key, <size_t> key_size) == 0):
                text.at = closed + 1
                if not take_named(text):
                    return False
            else:
                text.at = closed + 1
        elif is_digit(byte):
            if not take_number(text):
                return False
        else:
            text.at += 1
    keep_to(text, text.size)
    return text.named_to != 0


def numbers_apart(bytes text not None, bytes key not None):
    """What is left of a JSON text, its named string, its numbers packed; see the reference."""
    cdef text_t read
    read.size = PyBytes_GET_SIZE(text)
    if read.size > TEXT_BYTES_MAX:
        return None
    read.bytes = <const uint8_t *> PyBytes_AS_STRING(text)
    read.at = read.kept = read.left = read.named_from = read.named_to = 0
    read.count = 0
    if not take_apart(&read, <const uint8_t *> PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)):
        return None
    return (
        PyBytes_FromStringAndSize(<char *> read.rest, read.left),
        PyBytes_FromStringAndSize(<const char *> read.bytes + read.named_from,
                                  read.named_to - read.named_from),
        packed(read.numbers, read.count),
    )
