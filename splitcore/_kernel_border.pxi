# The border: Python integers and packed vectors to C and back, and the rules that need no bill.

cdef extern from "_abi.h":
    pass

cdef extern from "Python.h":
    int64_t PyLong_AsLongLongAndOverflow(object o, int *overflow)
    PyObject *PyLong_FromLongLong(int64_t v)
    void PyList_SET_ITEM(object list, Py_ssize_t i, PyObject *o)
    object PyType_GenericAlloc(type of_type, Py_ssize_t places)
    void PyTuple_SET_ITEM(object tuple, Py_ssize_t i, PyObject *o)

cdef enum:
    CHARGES_MAX = 256
    SECOND_LEVEL_MAX = 16
    PARTS_MAX = 4352
    PPM = 1000000
    TIER_MAX = 255
    GROUP_PAYMENTS_MAX = 65536

cdef int64_t AMOUNT_MAX = 10000000000000
cdef int64_t PAID_MAX = <int64_t> 1 << 62
cdef int64_t NARROW_END = <int64_t> 1 << 31
cdef int64_t GROUP_VALUES_MAX = 1 << 24

BUILD = BUILD_NAME.decode("ascii")
LANES = choose_lanes(4)


def _choose_lanes(int lanes):
    """Take vectors of 2 or 4 lanes, if the machine has them: how many it is. For tests."""
    return choose_lanes(lanes)


cdef tuple CODES = errors.CODES
cdef object describe = errors.found
cdef type FEE_RULE = FeeRule


def _check_constants():
    """The compiled limits and codes are those of limits.py and errors.py."""
    compiled = (AMOUNT_MAX, CHARGES_MAX, SECOND_LEVEL_MAX, PARTS_MAX, PPM, TIER_MAX, PAID_MAX,
                GROUP_PAYMENTS_MAX, GROUP_VALUES_MAX, PARTS_BOUND, TEXT_BYTES_MAX,
                TEXT_NUMBERS_MAX)
    declared = (limits.AMOUNT_MAX, limits.CHARGES_MAX, limits.SECOND_LEVEL_MAX, limits.PARTS_MAX,
                limits.PPM, limits.TIER_MAX, limits.PAID_MAX, limits.GROUP_PAYMENTS_MAX,
                limits.GROUP_VALUES_MAX, limits.PARTS_MAX, limits.TEXT_BYTES_MAX,
                limits.TEXT_NUMBERS_MAX)
    if compiled != declared or len(CODES) != BROKEN - 1 or CODES[OVERPAYMENT - 1] != "overpayment":
        raise ImportError("Expected a kernel built with these limits and codes, was another")


_check_constants()


cdef object refusal(int code, str detail):
    """The SplitError of a status; a status that is a defect raises as one."""
    if code == BROKEN:
        return ConservationBroken("Expected charges and shares to add up to the amount, was other")
    return SplitError(CODES[code - 1], detail)


cdef object outside(int code, str where, object value):
    return SplitError(CODES[code - 1], f"Expected {where} within its limits, was {describe(value)}")


cdef object not_whole(str where, object value):
    return SplitError("malformed", f"Expected an integer as {where}, was {describe(value)}")


cdef inline bint read_whole(object value, int64_t *number) noexcept:
    """Whether the value is an integer and nothing else; beyond 64 bits it reads as their end.

    An exact int converts without an error, so nothing is lost by `noexcept`.
    """
    cdef int overflow = 0
    if not PyLong_CheckExact(value):
        return False
    number[0] = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow != 0:
        number[0] = INT64_MAX if overflow > 0 else INT64_MIN
    return True


cdef inline int64_t whole(object value, str where) except? -1:
    cdef int64_t number = 0
    if not read_whole(value, &number):
        raise not_whole(where, value)
    return number


cdef inline bint all_within(const int64_t *values, int count, int64_t high) noexcept nogil:
    """Whether all are from 0 to `high`; most sets are told by their bits or-ed together."""
    cdef int i
    if 0 <= bits_of(values, count) <= high:
        return True
    for i in range(count):
        if not within(values[i], 0, high):
            return False
    return True


cdef inline bint within(int64_t number, int64_t low, int64_t high) noexcept nogil:
    return low <= number <= high


cdef bint read_rule(object rule, fee_rule_t *into) noexcept:
    """Whether it is a FeeRule of integers, or None (no fee); its limits are checked elsewhere."""
    if rule is None:
        memset(into, 0, sizeof(fee_rule_t))
        into.max = INT64_MAX
        return True
    if type(rule) is not FEE_RULE:
        return False
    if not (read_whole(<object> PyTuple_GET_ITEM(rule, 0), &into.ppm)
            and read_whole(<object> PyTuple_GET_ITEM(rule, 1), &into.fixed)
            and read_whole(<object> PyTuple_GET_ITEM(rule, 2), &into.min)):
        return False
    if <object> PyTuple_GET_ITEM(rule, 3) is None:
        into.max = INT64_MAX
        return True
    # A limit beyond 64 bits must stay out of range, not read as no limit.
    if not read_whole(<object> PyTuple_GET_ITEM(rule, 3), &into.max):
        return False
    if into.max == INT64_MAX:
        into.max = -1
    return True


cdef inline bint rule_within(const fee_rule_t *rule) noexcept nogil:
    return (within(rule.ppm, 0, PPM) and within(rule.fixed, 0, AMOUNT_MAX)
            and within(rule.min, 0, AMOUNT_MAX)
            and (rule.max == INT64_MAX or within(rule.max, rule.min, AMOUNT_MAX)))


cdef int priced(
    int64_t given, bint is_total, const fee_rule_t *rule, int64_t *amount, int64_t *surcharge
) noexcept nogil:
    """The amount and surcharge of what the payer gives, or why not."""
    if not within(given, 1, INT64_MAX if is_total else AMOUNT_MAX):
        return AMOUNT_OUT_OF_RANGE
    if not rule_within(rule):
        return FEE_OUT_OF_RANGE
    if is_total:
        amount[0] = amount_for_total_of(given, rule)
        if not within(amount[0], 1, AMOUNT_MAX):
            return AMOUNT_OUT_OF_RANGE
        surcharge[0] = given - amount[0]
    else:
        amount[0] = given
        surcharge[0] = fee_of(given, rule)
    return ACCEPTED


cdef inline PyObject *new_int(int64_t value) except NULL:
    """A new reference, for a place of a list or tuple that takes it over."""
    return PyLong_FromLongLong(value)


cdef list to_list(const int64_t *values, Py_ssize_t count):
    cdef list result = PyList_New(count)
    cdef Py_ssize_t i
    for i in range(count):
        PyList_SET_ITEM(result, i, new_int(values[i]))
    return result


def fee(object x, object rule):
    """The fee on `x` kopecks, half-up; see the reference."""
    cdef fee_rule_t read
    cdef int64_t amount = whole(x, "the amount")
    if not read_rule(rule, &read):
        raise refusal(MALFORMED, "Expected a FeeRule of integers, was another")
    if not within(amount, 0, AMOUNT_MAX):
        raise outside(AMOUNT_OUT_OF_RANGE, "the amount", x)
    if not rule_within(&read):
        raise refusal(FEE_OUT_OF_RANGE, "Expected a fee within its limits, was not")
    return fee_of(amount, &read)


def amount_for_total(object total, object rule):
    """(amount, surcharge) of a payer who hands over `total`; see the reference."""
    cdef fee_rule_t read
    cdef int64_t amount = 0, surcharge = 0, given = whole(total, "the total")
    cdef int code
    if not read_rule(rule, &read):
        raise refusal(MALFORMED, "Expected a FeeRule of integers, was another")
    if PyLong_CheckExact(total) and total > INT64_MAX:
        given = 0
    code = priced(given, True, &read, &amount, &surcharge)
    if code != ACCEPTED:
        raise outside(code, "the amount within a total and its fee", total)
    return amount, surcharge


def largest_remainder(object total, object weights):
    """Share `total` kopecks in proportion to `weights`, to the kopeck; see the reference."""
    cdef int64_t numbers[PARTS_MAX]
    cdef int64_t shares[PARTS_MAX]
    cdef int64_t amount = whole(total, "the total")
    cdef int64_t sum_of = 0
    cdef list given = weights if PyList_CheckExact(weights) else list(weights)
    cdef Py_ssize_t i, count = PyList_GET_SIZE(given)
    cdef Py_ssize_t bad = -1
    cdef int64_t number
    for i in range(count):
        number = whole(<object> PyList_GET_ITEM(given, i), "a weight")
        if not within(number, 0, AMOUNT_MAX):
            bad = i
        elif i < PARTS_MAX:
            numbers[i] = number
            sum_of += number
    if count > PARTS_MAX:
        raise refusal(MALFORMED, f"Expected at most {PARTS_MAX} weights, was {count}")
    if not within(amount, 0, AMOUNT_MAX):
        raise outside(AMOUNT_OUT_OF_RANGE, "the total", total)
    if bad >= 0:
        raise outside(WEIGHT_OUT_OF_RANGE, "a weight", given[bad])
    if sum_of == 0:
        raise refusal(NOTHING_TO_ALLOCATE, "Expected a weight above 0, was none")
    share_total(amount, numbers, <int> count, sum_of, shares)
    return to_list(shares, count)


def refund(object shares, object refunded, object amount):
    """How `amount` kopecks go back over what is left of every share; see the reference."""
    cdef int64_t left[PARTS_MAX]
    cdef int64_t back[PARTS_MAX]
    cdef int64_t share = 0, before = 0, left_sum = 0, wanted = 0
    cdef Py_ssize_t i, count = len(shares)
    if count != len(refunded) or count > PARTS_MAX:
        raise refusal(MALFORMED, f"Expected equally many shares and refunded parts, at most "
                                 f"{PARTS_MAX}, was {count} and {len(refunded)}")
    for i in range(count):
        share = whole(shares[i], "a share")
        before = whole(refunded[i], "a refunded part")
        if not within(share, 0, AMOUNT_MAX) or not within(before, 0, share):
            raise refusal(MALFORMED, f"Expected refunded part {i} from 0 to its share, was not")
        left[i] = share - before
        left_sum += left[i]
    wanted = whole(amount, "the refund")
    if not within(wanted, 1, AMOUNT_MAX):
        raise outside(AMOUNT_OUT_OF_RANGE, "the refund", amount)
    if wanted > left_sum:
        raise SplitError("refund_exceeds_payment",
                         f"Expected at most {left_sum} to refund, was {wanted}")
    share_total(wanted, left, <int> count, left_sum, back)
    return to_list(back, count)


cdef bytes packed(const int64_t *values, Py_ssize_t count):
    """One width byte, then big-endian integers of that width."""
    cdef int64_t every = 0
    cdef Py_ssize_t i
    cdef uint8_t *out
    cdef bytes result
    cdef uint32_t narrow
    cdef uint64_t wide
    for i in range(count):
        every |= values[i]
    expect(every >= 0)
    result = PyBytes_FromStringAndSize(NULL, 1 + count * (4 if every < NARROW_END else 8))
    out = <uint8_t *> PyBytes_AS_STRING(result)
    if every < NARROW_END:
        out[0] = 4
        for i in range(count):
            narrow = big32(<uint32_t> values[i])
            memcpy(out + 1 + 4 * i, &narrow, 4)
    else:
        out[0] = 8
        for i in range(count):
            wide = big64(<uint64_t> values[i])
            memcpy(out + 1 + 8 * i, &wide, 8)
    return result


cdef Py_ssize_t packed_count(object vector) except -1:
    """How many integers a packed vector holds, its own form checked."""
    cdef Py_ssize_t size
    cdef uint8_t width
    if not PyBytes_CheckExact(vector) or PyBytes_GET_SIZE(vector) == 0:
        raise refusal(MALFORMED, "Expected a packed vector of width 4 or 8, was none")
    size = PyBytes_GET_SIZE(vector) - 1
    width = (<const uint8_t *> PyBytes_AS_STRING(vector))[0]
    if width != 4 and width != 8:
        raise refusal(MALFORMED, "Expected a packed vector of width 4 or 8, was none")
    if size % width != 0:
        raise refusal(MALFORMED, f"Expected whole integers of {width}, was {size} bytes")
    return size // width


cdef Py_ssize_t packed_size(const uint8_t *start, const uint8_t *end, Py_ssize_t count) noexcept:
    """Bytes of a vector of `count` integers that begins at `start`, -1 where it is none."""
    cdef Py_ssize_t size
    if start >= end or (start[0] != 4 and start[0] != 8):
        return -1
    size = 1 + start[0] * count
    return size if end - start >= size else -1


cdef int64_t read_packed(const uint8_t *start, Py_ssize_t count, int64_t *values) noexcept nogil:
    """The integers of a vector of checked form; returns all of them or-ed together."""
    cdef int64_t every = 0
    cdef Py_ssize_t i
    cdef uint32_t narrow
    cdef uint64_t wide
    if start[0] == 4:
        for i in range(count):
            memcpy(&narrow, start + 1 + 4 * i, 4)
            values[i] = <int32_t> big32(narrow)
            every |= values[i]
    else:
        for i in range(count):
            memcpy(&wide, start + 1 + 8 * i, 8)
            values[i] = <int64_t> big64(wide)
            every |= values[i]
    return every


cdef extern from *:
    """
    #if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    #define big32(x) __builtin_bswap32(x)
    #define big64(x) __builtin_bswap64(x)
    #else
    #define big32(x) (x)
    #define big64(x) (x)
    #endif
    """
    uint32_t big32(uint32_t x) nogil
    uint64_t big64(uint64_t x) nogil


def pack(object values):
    """Integers from 0 to 2^63-1 as a packed vector; see the reference."""
    cdef list given = list(values)
    cdef Py_ssize_t i, count = PyList_GET_SIZE(given)
    cdef int64_t few[64]
    cdef int64_t *numbers = few
    cdef object value
    if count > 64:
        numbers = <int64_t *> PyMem_Malloc(<size_t> count * sizeof(int64_t))
        if numbers == NULL:
            raise MemoryError()
    try:
        for i in range(count):
            value = given[i]
            numbers[i] = whole(value, "a value")
            if numbers[i] < 0 or (numbers[i] == INT64_MAX and value > INT64_MAX):
                raise outside(MALFORMED, f"value {i}", value)
        return packed(numbers, count)
    finally:
        if numbers != few:
            PyMem_Free(numbers)


cdef object with_values(object vector, bint as_sum):
    """The values of a packed vector as a list, or their sum."""
    cdef Py_ssize_t i, count = packed_count(vector)
    cdef const uint8_t *start = <const uint8_t *> PyBytes_AS_STRING(vector)
    cdef int64_t few[64]
    cdef int64_t *numbers = few
    cdef int64_t total = 0
    if count > 64:
        numbers = <int64_t *> PyMem_Malloc(<size_t> count * sizeof(int64_t))
        if numbers == NULL:
            raise MemoryError()
    try:
        if read_packed(start, count, numbers) < 0:
            raise refusal(MALFORMED, "Expected values from 0, was a negative one")
        if not as_sum:
            return to_list(numbers, count)
        for i in range(count):
            if numbers[i] > INT64_MAX - total:
                raise refusal(MALFORMED, "Expected a sum below 2^63, was more")
            total += numbers[i]
        return total
    finally:
        if numbers != few:
            PyMem_Free(numbers)


def unpack(object packed):
    """The integers of a packed vector; see the reference."""
    return with_values(packed, False)


def packed_sum(object packed):
    """The sum of a packed vector; see the reference."""
    return with_values(packed, True)
