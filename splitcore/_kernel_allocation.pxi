# Allocations to Python: named tuples of lists, one integer object wherever one number says it all.

cdef type ALLOCATION = Allocation
cdef type GROUP_ALLOCATION = GroupAllocation


cdef object tuple_of(type shape, PyObject **places, Py_ssize_t count):
    """A named tuple, its places filled as tuple.__new__ would, without the call."""
    cdef object made = PyType_GenericAlloc(shape, count)
    cdef Py_ssize_t i
    for i in range(count):
        Py_INCREF(<object> places[i])
        PyTuple_SET_ITEM(made, i, places[i])
    return made


cdef list list_parts(const shape_t *shape, list charges, const int64_t *parts):
    """The parts as a list; the only part of a charge is the charge's own number again."""
    cdef list result = PyList_New(shape.parts)
    cdef object number
    cdef int i, at
    for i in range(shape.charges):
        for at in range(shape.part_start[i], shape.part_start[i + 1]):
            if shape.part_start[i + 1] - shape.part_start[i] == 1:
                number = <object> PyList_GET_ITEM(charges, i)
            else:
                number = parts[at]
            Py_INCREF(number)
            PyList_SET_ITEM(result, at, <PyObject *> number)
    return result


cdef object allocation(const payment_t *payment, list charges, list parts, list commissions):
    cdef object amount = payment.amount
    cdef object surcharge = payment.surcharge
    cdef PyObject *places[5]
    places[0] = <PyObject *> amount
    places[1] = <PyObject *> surcharge
    places[2] = <PyObject *> charges
    places[3] = <PyObject *> parts
    places[4] = <PyObject *> commissions
    return tuple_of(ALLOCATION, places, 5)


cdef object group_allocation(
    const payment_t *payment, const shape_t *shape, const int64_t *results
):
    """The GroupAllocation of a payment that was split; `results` as split_next wrote them."""
    cdef const int64_t *parts = results + shape.charges
    cdef const int64_t *commissions = parts + shape.parts
    cdef int64_t gross[PARTS_MAX]
    cdef int64_t appeared[PARTS_MAX]
    cdef int16_t lone[PARTS_MAX]  # of a recipient whose gross is one part, the place of that part
    cdef int i, at, recipients = 0
    cdef list of_charges = to_list(results, shape.charges)
    cdef list of_parts = list_parts(shape, of_charges, parts)
    cdef list of_commissions = to_list(commissions, shape.recipients)
    cdef list of_gross = PyList_New(shape.recipients)
    cdef list of_net = of_gross
    cdef list order
    cdef object number
    cdef object amount = payment.amount
    cdef object surcharge = payment.surcharge
    cdef object commission = payment.commission
    cdef object packed_parts = packed(parts, shape.parts)
    cdef object packed_commissions = None
    cdef PyObject *places[11]
    memset(gross, 0, <size_t> shape.recipients * sizeof(int64_t))
    for i in range(shape.parts):
        if parts[i] > 0:
            at = shape.part_recipient[i]
            if gross[at] == 0:
                appeared[recipients] = at
                recipients += 1
            gross[at] += parts[i]
            lone[at] = <int16_t> i
    order = to_list(appeared, recipients)
    for at in range(shape.recipients):
        if gross[at] > 0 and gross[at] == parts[lone[at]]:
            number = <object> PyList_GET_ITEM(of_parts, lone[at])
        else:
            number = gross[at]
        Py_INCREF(number)
        PyList_SET_ITEM(of_gross, at, <PyObject *> number)
    if payment.commission > 0:
        packed_commissions = packed(commissions, shape.recipients)
        of_net = PyList_New(shape.recipients)
        for at in range(shape.recipients):
            if commissions[at] == 0:
                number = <object> PyList_GET_ITEM(of_gross, at)
            else:
                number = gross[at] - commissions[at]
            Py_INCREF(number)
            PyList_SET_ITEM(of_net, at, <PyObject *> number)
    else:
        of_net = of_gross[:]
    places[0] = <PyObject *> amount
    places[1] = <PyObject *> surcharge
    places[2] = <PyObject *> commission
    places[3] = <PyObject *> of_charges
    places[4] = <PyObject *> of_parts
    places[5] = <PyObject *> order
    places[6] = <PyObject *> of_gross
    places[7] = <PyObject *> of_commissions
    places[8] = <PyObject *> of_net
    places[9] = <PyObject *> packed_parts
    places[10] = <PyObject *> packed_commissions
    return tuple_of(GROUP_ALLOCATION, places, 11)
