# One payment: its reading from Python, and one call that splits it over a bill given as lists.

cdef int read_named(
    const shape_t *shape, object designation, named_t *named, Py_ssize_t room
) except -1:
    """Pairs (service, kopecks) read and their shape checked: how many, or -2 if malformed."""
    cdef uint8_t seen[CHARGES_MAX]
    cdef Py_ssize_t i, count = len(designation)
    cdef object pair
    cdef int64_t service = 0
    if count > room:
        return -2
    memset(seen, 0, sizeof(seen))
    for i in range(shape.charges):
        seen[shape.service[i]] = 1
    for i in range(count):
        pair = designation[i]
        if not PyTuple_CheckExact(pair) or PyTuple_GET_SIZE(pair) != 2:
            return -2
        if not (read_whole(<object> PyTuple_GET_ITEM(pair, 0), &service)
                and read_whole(<object> PyTuple_GET_ITEM(pair, 1), &named[i].amount)):
            return -2
        if not within(service, 0, shape.charges - 1) or seen[service] != 1:
            return -2
        seen[service] = 2
        named[i].service = <int32_t> service
    return <int> count


cdef int64_t *scratch_owed(
    const int64_t *due, const int64_t *paid, int count, int64_t *owed
) noexcept nogil:
    cdef int i
    for i in range(count):
        owed[i] = due[i] - paid[i] if due[i] > paid[i] else 0
    return owed


cdef int check_vectors(
    int n, const int64_t *due, const int64_t *weight, const int64_t *paid
) except -1:
    """Each vector against its limits; NULL is a weight that is the due, or nothing paid."""
    if not all_within(due, n, AMOUNT_MAX):
        raise refusal(DUE_OUT_OF_RANGE, "Expected every due within its limits, was not")
    if paid != NULL and not all_within(paid, n, PAID_MAX):
        raise refusal(DUE_OUT_OF_RANGE, "Expected every amount paid within its limits, was not")
    if weight != NULL and not all_within(weight, n, AMOUNT_MAX):
        raise refusal(WEIGHT_OUT_OF_RANGE, "Expected every weight within its limits, was not")
    return 0


cdef int read_list(object given, int n, int64_t *numbers) except -1:
    cdef int i
    cdef list entries = given if PyList_CheckExact(given) else list(given)
    if PyList_GET_SIZE(entries) != n:
        raise refusal(MALFORMED, f"Expected {n} entries, was {len(entries)}")
    for i in range(n):
        if not read_whole(<object> PyList_GET_ITEM(entries, i), &numbers[i]):
            raise not_whole(f"entry {i}", entries[i])
    return 0


def split_payment(Plan plan not None, Fees fees not None, object amount, object due, object weight,
                  object paid, object overpayment, bint is_total, object surcharge,
                  object designation):
    """Split one payment over one bill given as lists of kopecks; see the reference."""
    cdef int64_t numbers[3 * CHARGES_MAX]
    cdef int64_t results[CHARGES_MAX + 2 * PARTS_MAX]
    cdef int64_t scratch[CHARGES_MAX]
    cdef named_t named[CHARGES_MAX]
    cdef payment_t payment
    cdef const shape_t *shape = &plan.shape
    cdef int n = shape.charges
    cdef int code, named_count = 0
    cdef int64_t policy
    cdef const int64_t *owed = numbers
    cdef const int64_t *weighed = numbers
    cdef int64_t *weights = NULL
    cdef int64_t *before = NULL
    if fees.fees.count != shape.recipients:
        raise refusal(MALFORMED, f"Expected {shape.recipients} rules, was {fees.fees.count}")
    read_list(due, n, numbers)
    if weight is not None:
        weights = numbers + n
        weighed = weights
        read_list(weight, n, weights)
    if paid is not None:
        before = numbers + 2 * n
        read_list(paid, n, before)
    policy = whole(overpayment, "the overpayment")
    if not within(policy, -2, n - 1):
        raise outside(MALFORMED, "the overpayment", overpayment)
    payment.given = whole(amount, "the amount")
    if not read_rule(surcharge, &payment.surcharge_rule):
        raise refusal(MALFORMED, "Expected a FeeRule of integers as the surcharge, was another")
    if designation is not None:
        named_count = read_named(shape, designation, named, CHARGES_MAX)
        if named_count < 0:
            raise refusal(MALFORMED, "Expected pairs of a service and kopecks, was other")
    if is_total and payment.given == INT64_MAX and amount > INT64_MAX:
        payment.given = 0
    code = priced(payment.given, is_total, &payment.surcharge_rule, &payment.amount,
                  &payment.surcharge)
    if code == AMOUNT_OUT_OF_RANGE:
        raise outside(code, "the amount", amount)
    check_vectors(n, numbers, weights, before)
    if code == ACCEPTED:
        if before != NULL:
            owed = scratch_owed(numbers, before, n, scratch)
        code = split_charges(shape, payment.amount, owed, weighed, <int> policy, named,
                             named_count, results)
    if code == ACCEPTED:
        code = split_shares(shape, &fees.fees, results, results + n, results + n + shape.parts,
                            &payment.commission)
    if code != ACCEPTED:
        raise refusal(code, "Expected a payment that can be split, was none")
    return allocation(&payment, shape, results, payment.amount if is_total else amount)
