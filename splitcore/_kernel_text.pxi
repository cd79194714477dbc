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
    Py_ssize_t aside_from
    Py_ssize_t aside_to  # 0 until the value to lay aside was met
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


cdef inline bint is_string(
    const text_t *text, Py_ssize_t closed, const uint8_t *name, Py_ssize_t size
) noexcept nogil:
    """Whether the string from `at` to its closing quote is this name."""
    return (closed - text.at - 1 == size
            and memcmp(text.bytes + text.at + 1, name, <size_t> size) == 0)


cdef inline Py_ssize_t value_at(const text_t *text, Py_ssize_t at) noexcept nogil:
    """Where the value after a colon begins, the size of the text where there is none."""
    at = past_spaces(text, at)
    if at == text.size or text.bytes[at] != c":":
        return text.size
    return past_spaces(text, at + 1)


cdef bint take_named(text_t *text, Py_ssize_t at) noexcept nogil:
    """Take out the string that the value after `at` is, leaving its quotes; False if it is none."""
    cdef Py_ssize_t closed
    at = value_at(text, at)
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


cdef bint lay_aside(text_t *text, Py_ssize_t at) noexcept nogil:
    """Take out the object or string that the value after `at` is; False where it does not end."""
    cdef Py_ssize_t depth = 0
    cdef bint within_string = False
    cdef uint8_t byte
    at = value_at(text, at)
    if at == text.size or text.bytes[at] != c"{" and text.bytes[at] != c'"':
        # Any other value is left where it is.
        return True
    text.aside_from = at
    while at < text.size:
        byte = text.bytes[at]
        if within_string:
            if byte == c"\\":
                at += 1
            elif byte == c'"':
                within_string = False
        elif byte == c'"':
            within_string = True
        elif byte == c"{":
            depth += 1
        elif byte == c"}":
            depth -= 1
        at += 1
        if depth == 0 and not within_string:
            break
    else:
        return False
    text.aside_to = at
    keep_to(text, text.aside_from)
    # No longer than what it stands for, which has two quotes or braces at least.
    memcpy(text.rest + text.left, b"{}", 2)
    text.left += 2
    text.kept = text.at = at
    return True


cdef bint take_apart(
    text_t *text, const uint8_t *name, Py_ssize_t name_size, const uint8_t *aside,
    Py_ssize_t aside_size
) noexcept nogil:
    """Take a text apart; False where it is not so plain that what is left tells all of it."""
    cdef Py_ssize_t closed
    cdef uint8_t byte
    while text.at < text.size:
        byte = text.bytes[text.at]
        if byte == c'"':
            closed = closed_at(text, text.at)
            if closed < 0:
                return False
            if text.named_to == 0 and is_string(text, closed, name, name_size):
                if not take_named(text, closed + 1):
                    return False
            elif text.aside_to == 0 and is_string(text, closed, aside, aside_size):
                text.at = closed + 1
                if not lay_aside(text, closed + 1):
                    return False
            else:
                text.at = closed + 1
        elif is_digit(byte):
            if not take_number(text):
                return False
        else:
            text.at += 1
    keep_to(text, text.size)
    # An escape may hide what a string is, or where it ends; only what was laid aside may have one.
    return (text.named_to != 0 and memchr(text.rest, c"\\", <size_t> text.left) == NULL
            and memchr(text.bytes + text.named_from, c"\\",
                       <size_t> (text.named_to - text.named_from)) == NULL)


def numbers_apart(bytes text not None, bytes name not None, bytes aside not None):
    """A JSON text without its numbers, and what was taken out of it; see the reference."""
    cdef text_t read
    cdef const char *begin = PyBytes_AS_STRING(text)
    read.size = PyBytes_GET_SIZE(text)
    if read.size > TEXT_BYTES_MAX:
        return None
    read.bytes = <const uint8_t *> begin
    read.at = read.kept = read.left = read.named_from = read.named_to = 0
    read.aside_from = read.aside_to = 0
    read.count = 0
    if not take_apart(&read, <const uint8_t *> PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name),
                      <const uint8_t *> PyBytes_AS_STRING(aside), PyBytes_GET_SIZE(aside)):
        return None
    return (
        PyBytes_FromStringAndSize(<char *> read.rest, read.left),
        PyBytes_FromStringAndSize(begin + read.named_from, read.named_to - read.named_from),
        None if read.aside_to == 0 else PyBytes_FromStringAndSize(
            begin + read.aside_from, read.aside_to - read.aside_from),
        packed(read.numbers, read.count),
    )
