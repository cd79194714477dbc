# Commit groups: bills and payments in flat arrays that grow by doubling; one run without the GIL.

cdef struct grown_t:
    # One flat array: `used` of `room` items of `item` bytes.
    char *items
    int64_t used
    int64_t room
    int64_t item


cdef int grow(grown_t *array, int64_t more) except -1:
    """Room for `more` items after the used ones."""
    cdef int64_t room = array.room
    cdef void *moved
    if array.used + more <= room:
        return 0
    while room < array.used + more:
        room = room * 2 if room > 0 else 64
    moved = PyMem_Realloc(array.items, <size_t> (room * array.item))
    if moved == NULL:
        raise MemoryError()
    array.items = <char *> moved
    array.room = room
    return 0


@cython.final
@cython.auto_pickle(False)
cdef class Group:
    """One commit group: bills, then payments in order, split together by `run`.

    A refused payment changes nothing and its neighbours go on; its result is a code, no kopecks.
    The contract is the reference's.
    """
    cdef list kept  # plans and fees, alive as long as bills point into them
    cdef grown_t bills
    cdef grown_t payments
    cdef grown_t named
    cdef grown_t values  # due, weight and paid of every bill
    cdef grown_t results  # charges, parts and commissions of every payment
    cdef int64_t done
    cdef bint running  # without the GIL: another thread must not move the arrays

    def __cinit__(self):
        self.kept = []
        memset(&self.bills, 0, sizeof(grown_t))
        memset(&self.payments, 0, sizeof(grown_t))
        memset(&self.named, 0, sizeof(grown_t))
        memset(&self.values, 0, sizeof(grown_t))
        memset(&self.results, 0, sizeof(grown_t))
        self.bills.item = sizeof(bill_t)
        self.payments.item = sizeof(payment_t)
        self.named.item = sizeof(named_t)
        self.values.item = sizeof(int64_t)
        self.results.item = sizeof(int64_t)
        self.done = 0
        self.running = False

    def __dealloc__(self):
        PyMem_Free(self.bills.items)
        PyMem_Free(self.payments.items)
        PyMem_Free(self.named.items)
        PyMem_Free(self.values.items)
        PyMem_Free(self.results.items)

    def clear(self):
        """Forget all bills, payments and results; the buffers stay for the next group."""
        self.expect_rest()
        self.kept.clear()
        self.bills.used = self.payments.used = self.named.used = 0
        self.values.used = self.results.used = self.done = 0

    cdef int expect_rest(self) except -1:
        if self.running:
            raise RuntimeError("Expected a group at rest, was one that another thread runs")
        return 0

    cdef int reserve(self, int64_t more) except -1:
        self.expect_rest()
        if self.values.used + self.results.used + self.named.used + more > GROUP_VALUES_MAX:
            raise GroupFull(f"Expected at most {GROUP_VALUES_MAX} values, was more")
        return 0

    def add_bill(self, Plan plan not None, Fees fees not None, object due, object weight,
                 object paid, object overpayment):
        """A bill of packed vectors, one entry a charge: its index in the group."""
        cdef const shape_t *shape = &plan.shape
        cdef int n = shape.charges
        cdef int64_t policy
        cdef int64_t *at
        cdef bill_t *bill
        if packed_count(due) != n or packed_count(paid) != n or (
                weight is not None and packed_count(weight) != n):
            raise refusal(MALFORMED, f"Expected {n} entries in every vector, was other")
        if fees.fees.count != shape.recipients:
            raise refusal(MALFORMED, f"Expected {shape.recipients} rules, was {fees.fees.count}")
        policy = whole(overpayment, "the overpayment")
        if not within(policy, -2, n - 1):
            raise outside(MALFORMED, "the overpayment", overpayment)
        if self.bills.used == GROUP_PAYMENTS_MAX:
            raise GroupFull(f"Expected at most {GROUP_PAYMENTS_MAX} bills, was more")
        self.reserve(3 * n)
        grow(&self.bills, 1)
        grow(&self.values, 3 * n)
        at = <int64_t *> self.values.items + self.values.used
        read_vectors(n, due, weight, paid, at)
        bill = <bill_t *> self.bills.items + self.bills.used
        bill.shape = shape
        bill.fees = &fees.fees
        bill.at = self.values.used
        bill.overpayment = <int32_t> policy
        self.kept.append(plan)
        self.kept.append(fees)
        self.values.used += 3 * n
        self.bills.used += 1
        return self.bills.used - 1

    def add_payment(self, Py_ssize_t bill, object amount, bint is_total, object surcharge,
                    object designation):
        """A payment to one of the group's bills: its index in the group."""
        cdef const shape_t *shape
        cdef payment_t *payment
        cdef int64_t size
        cdef int named = 0
        if bill < 0 or bill >= self.bills.used:
            raise IndexError(f"Expected a bill of this group, was {bill}")
        if self.payments.used == GROUP_PAYMENTS_MAX:
            raise GroupFull(f"Expected at most {GROUP_PAYMENTS_MAX} payments, was more")
        shape = (<bill_t *> self.bills.items)[bill].shape
        size = shape.charges + shape.parts + shape.recipients
        self.reserve(size + shape.charges)
        grow(&self.payments, 1)
        grow(&self.results, size)
        payment = <payment_t *> self.payments.items + self.payments.used
        payment.code = ACCEPTED
        payment.bill = <int32_t> bill
        payment.is_total = is_total
        payment.named_at = self.named.used
        if designation is not None:
            grow(&self.named, shape.charges)
            named = read_named(shape, designation, <named_t *> self.named.items + self.named.used,
                               shape.charges)
        if named < 0 or not read_whole(amount, &payment.given) or not read_rule(
                surcharge, &payment.surcharge_rule):
            payment.code = MALFORMED
            named = 0
        elif is_total and payment.given == INT64_MAX and amount > INT64_MAX:
            payment.given = 0
        payment.named = named
        payment.at = self.results.used
        self.named.used += named
        self.results.used += size
        self.payments.used += 1
        return self.payments.used - 1

    def run(self):
        """Split every payment added since the last run, in order. ConservationBroken: a defect."""
        cdef int code = ACCEPTED
        self.expect_rest()
        self.running = True
        with nogil:
            while self.done < self.payments.used:
                code = self.split_next()
                self.done += 1
                if code == BROKEN:
                    break
        self.running = False
        if code == BROKEN:
            raise refusal(BROKEN, "")

    cdef int split_next(self) noexcept nogil:
        cdef payment_t *payment = <payment_t *> self.payments.items + self.done
        cdef const bill_t *bill = <bill_t *> self.bills.items + payment.bill
        cdef int n = bill.shape.charges
        cdef int64_t *due = <int64_t *> self.values.items + bill.at
        cdef int64_t *paid = due + 2 * n
        cdef int64_t *charges = <int64_t *> self.results.items + payment.at
        cdef int64_t *parts = charges + n
        cdef int64_t owed[CHARGES_MAX]
        cdef int i
        if payment.code == ACCEPTED:
            payment.code = priced(payment.given, payment.is_total, &payment.surcharge_rule,
                                  &payment.amount, &payment.surcharge)
        if payment.code == ACCEPTED:
            payment.code = split_charges(
                bill.shape, payment.amount, scratch_owed(due, paid, n, owed), due + n,
                bill.overpayment, <named_t *> self.named.items + payment.named_at, payment.named,
                charges)
        if payment.code == ACCEPTED:
            payment.code = split_shares(bill.shape, bill.fees, charges, parts,
                                        parts + bill.shape.parts, &payment.commission)
        if payment.code == ACCEPTED:
            for i in range(n):
                paid[i] += charges[i]
        return payment.code

    cdef const payment_t *split(self, Py_ssize_t i) except NULL:
        if i < 0 or i >= self.done:
            raise IndexError(f"Expected a payment that was split, was {i}")
        return <payment_t *> self.payments.items + i

    cdef const int64_t *result(self, const payment_t *payment, int part, int *count) noexcept:
        """The charges (0), parts (1) or commissions (2) of a payment; none if it was refused."""
        cdef const shape_t *shape = (<bill_t *> self.bills.items)[payment.bill].shape
        cdef const int64_t *at = <int64_t *> self.results.items + payment.at
        cdef int n
        if part == 0:
            n = shape.charges
        elif part == 1:
            n = shape.parts
            at += shape.charges
        else:
            n = shape.recipients
            at += shape.charges + shape.parts
        count[0] = n if payment.code == ACCEPTED else 0
        return at

    def code(self, Py_ssize_t i):
        """The code payment i was refused with, or None."""
        cdef int code = self.split(i).code
        return None if code == ACCEPTED else CODES[code - 1]

    def amount(self, Py_ssize_t i):
        cdef const payment_t *payment = self.split(i)
        return payment.amount if payment.code == ACCEPTED else 0

    def surcharge(self, Py_ssize_t i):
        cdef const payment_t *payment = self.split(i)
        return payment.surcharge if payment.code == ACCEPTED else 0

    def commission(self, Py_ssize_t i):
        """The sum of all recipients' commissions."""
        cdef const payment_t *payment = self.split(i)
        return payment.commission if payment.code == ACCEPTED else 0

    def allocation(self, Py_ssize_t i):
        """All that payment i came to, or None if it was refused: everything below in one call."""
        cdef const payment_t *payment = self.split(i)
        if payment.code != ACCEPTED:
            return None
        return group_allocation(payment, (<bill_t *> self.bills.items)[payment.bill].shape,
                                <int64_t *> self.results.items + payment.at)

    cdef list listed(self, Py_ssize_t i, int part):
        cdef int count
        cdef const int64_t *at = self.result(self.split(i), part, &count)
        return to_list(at, count)

    def charges(self, Py_ssize_t i):
        return self.listed(i, 0)

    def parts(self, Py_ssize_t i):
        return self.listed(i, 1)

    def commissions(self, Py_ssize_t i):
        return self.listed(i, 2)

    def packed_parts(self, Py_ssize_t i):
        cdef int count
        cdef const int64_t *at = self.result(self.split(i), 1, &count)
        return packed(at, count)

    def packed_commissions(self, Py_ssize_t i):
        cdef int count
        cdef const int64_t *at = self.result(self.split(i), 2, &count)
        return packed(at, count)

    def packed_paid(self, Py_ssize_t bill):
        """What each charge of that bill has received, the group's payments included."""
        cdef const bill_t *of
        if bill < 0 or bill >= self.bills.used:
            raise IndexError(f"Expected a bill of this group, was {bill}")
        of = <bill_t *> self.bills.items + bill
        return packed(
            <int64_t *> self.values.items + of.at + 2 * of.shape.charges, of.shape.charges)


cdef int read_vectors(int n, object due, object weight, object paid, int64_t *at) except -1:
    """Due, weight and paid of a bill, unpacked to 3 * n places and checked against their limits."""
    cdef int64_t every
    every = read_packed(<const uint8_t *> PyBytes_AS_STRING(due), n, at)
    every |= read_packed(<const uint8_t *> PyBytes_AS_STRING(paid), n, at + 2 * n)
    if weight is None:
        memcpy(at + n, at, <size_t> n * sizeof(int64_t))
    else:
        every |= read_packed(<const uint8_t *> PyBytes_AS_STRING(weight), n, at + n)
    if every < 0:
        raise refusal(MALFORMED, "Expected values from 0, was a negative one")
    check_vectors(n, at, NULL if weight is None else at + n, at + 2 * n)
    return 0
