# Allocations to Python: named tuples of tuples, one object wherever the same numbers stand twice.

cdef type ALLOCATION = Allocation
cdef type GROUP_ALLOCATION = GroupAllocation
cdef list NOTHING = [(0,) * count for count in range(65)]


cdef object tuple_of(type shape, PyObject **places, Py_ssize_t count):
    """A named tuple, its places filled as tuple.__new__ would, without the call."""
    cdef object made = PyType_GenericAlloc(shape, count)
    cdef Py_ssize_t i
    for i in range(count):
        Py_INCREF(<object> places[i])
        PyTuple_SET_ITEM(made, i, places[i])
    return made


cdef tuple to_tuple(const int64_t *values, Py_ssize_t count):
    cdef tuple result = PyTuple_New(count)
    cdef Py_ssize_t i
    for i in range(count):
        PyTuple_SET_ITEM(result, i, new_int(values[i]))
    return result


cdef tuple tuple_parts(const shape_t *shape, tuple charges, const int64_t *parts):
    """The parts; the only part of a charge is the charge's own number again."""
    cdef tuple result
    cdef PyObject *number
    cdef int at
    if shape.single:
        return charges
    result = PyTuple_New(shape.parts)
    for at in range(shape.parts):
        if shape.part_ppm[at] == PPM:
            number = PyTuple_GET_ITEM(charges, shape.part_charge[at])
            Py_INCREF(<object> number)
        else:
            number = new_int(parts[at])
        PyTuple_SET_ITEM(result, at, number)
    return result


cdef tuple tuple_commissions(int count, int64_t commission, const int64_t *commissions):
    if commission == 0 and count < PyList_GET_SIZE(NOTHING):
        return <tuple> PyList_GET_ITEM(NOTHING, count)
    return to_tuple(commissions, count)


cdef object allocation(
    const payment_t *payment, const shape_t *shape, const int64_t *results, object amount
):
    """The Allocation of a payment that was split: `results` are its charges, parts, commissions."""
    cdef const int64_t *parts = results + shape.charges
    cdef tuple of_charges = to_tuple(results, shape.charges)
    cdef tuple of_parts = tuple_parts(shape, of_charges, parts)
    cdef tuple of_commissions = tuple_commissions(
        shape.recipients, payment.commission, parts + shape.parts)
    cdef object surcharge = payment.surcharge
    cdef PyObject *places[5]
    places[0] = <PyObject *> amount
    places[1] = <PyObject *> surcharge
    places[2] = <PyObject *> of_charges
    places[3] = <PyObject *> of_parts
    places[4] = <PyObject *> of_commissions
    return tuple_of(ALLOCATION, places, 5)


cdef struct gross_t:
    # What each recipient receives of one payment, and who receives anything, as they appear.
    int64_t sums[PARTS_MAX]
    int64_t appeared[PARTS_MAX]
    int16_t lone[PARTS_MAX]  # of a recipient of one part, the place of that part
    int receiving


cdef void add_gross(const shape_t *shape, const int64_t *parts, gross_t *gross) noexcept nogil:
    cdef int i, at
    memset(gross.sums, 0, <size_t> shape.recipients * sizeof(int64_t))
    gross.receiving = 0
    for i in range(shape.parts):
        if parts[i] > 0:
            at = shape.part_recipient[i]
            if gross.sums[at] == 0:
                gross.appeared[gross.receiving] = at
                gross.receiving += 1
            gross.sums[at] += parts[i]
            gross.lone[at] = <int16_t> i


cdef tuple tuple_gross(int count, const gross_t *gross, tuple of_parts, const int64_t *parts):
    cdef tuple result = PyTuple_New(count)
    cdef PyObject *number
    cdef int at
    for at in range(count):
        if gross.sums[at] > 0 and gross.sums[at] == parts[gross.lone[at]]:
            number = PyTuple_GET_ITEM(of_parts, gross.lone[at])
            Py_INCREF(<object> number)
        else:
            number = new_int(gross.sums[at])
        PyTuple_SET_ITEM(result, at, number)
    return result


cdef tuple tuple_net(int count, tuple of_gross, const int64_t *gross, const int64_t *commissions):
    cdef tuple result = PyTuple_New(count)
    cdef PyObject *number
    cdef int at
    for at in range(count):
        if commissions[at] == 0:
            number = PyTuple_GET_ITEM(of_gross, at)
            Py_INCREF(<object> number)
        else:
            number = new_int(gross[at] - commissions[at])
        PyTuple_SET_ITEM(result, at, number)
    return result


cdef object group_allocation(
    const payment_t *payment, const shape_t *shape, const int64_t *results
):
    """The GroupAllocation of a payment that was split; `results` as above."""
    cdef const int64_t *parts = results + shape.charges
    cdef const int64_t *commissions = parts + shape.parts
    cdef gross_t gross
    cdef int count = shape.recipients
    cdef tuple of_charges = to_tuple(results, shape.charges)
    cdef tuple of_parts = tuple_parts(shape, of_charges, parts)
    cdef tuple of_commissions = tuple_commissions(count, payment.commission, commissions)
    cdef tuple receiving, of_gross, of_net
    cdef object amount = payment.amount
    cdef object surcharge = payment.surcharge
    cdef object commission = payment.commission
    cdef object packed_parts = packed(parts, shape.parts)
    cdef object packed_commissions = None
    cdef PyObject *places[11]
    add_gross(shape, parts, &gross)
    receiving = to_tuple(gross.appeared, gross.receiving)
    of_net = of_gross = tuple_gross(count, &gross, of_parts, parts)
    if payment.commission > 0:
        packed_commissions = packed(commissions, count)
        of_net = tuple_net(count, of_gross, gross.sums, commissions)
    places[0] = <PyObject *> amount
    places[1] = <PyObject *> surcharge
    places[2] = <PyObject *> commission
    places[3] = <PyObject *> of_charges
    places[4] = <PyObject *> of_parts
    places[5] = <PyObject *> receiving
    places[6] = <PyObject *> of_gross
    places[7] = <PyObject *> of_commissions
    places[8] = <PyObject *> of_net
    places[9] = <PyObject *> packed_parts
    places[10] = <PyObject *> packed_commissions
    return tuple_of(GROUP_ALLOCATION, places, 11)
