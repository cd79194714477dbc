# One payment over one bill, in C: designation, tiers, overpayment, second level, commissions.
# Numbers were checked before; what can still be refused here is in the split itself.

cdef int64_t fill_some(
    int64_t left, const int64_t *owed, const int16_t *members, int count, int64_t *received
) noexcept nogil:
    """Fill one tier, its charges given by place: what is left. `received` grows."""
    cdef int64_t wanted[CHARGES_MAX]
    cdef int64_t given[CHARGES_MAX]
    cdef int64_t tier_sum = 0
    cdef int i
    for i in range(count):
        wanted[i] = owed[members[i]]
        tier_sum += wanted[i]
    if tier_sum <= left:
        for i in range(count):
            received[members[i]] += wanted[i]
        return left - tier_sum
    if left > 0:
        share_total(left, wanted, count, tier_sum, given)
        for i in range(count):
            received[members[i]] += given[i]
    return 0


cdef int64_t fill_tiers(
    const shape_t *shape, int64_t left, const int64_t *owed, int64_t *received
) noexcept nogil:
    """Fill the tiers in ascending order, `received` written whole: what nobody owed."""
    cdef int64_t tier_sum
    cdef int t, at, count
    if not shape.ordered:
        memset(received, 0, <size_t> shape.charges * sizeof(int64_t))
        for t in range(shape.tiers):
            at = shape.tier_start[t]
            left = fill_some(left, owed, shape.order + at, shape.tier_start[t + 1] - at, received)
        return left
    for t in range(shape.tiers):
        at = shape.tier_start[t]
        count = shape.tier_start[t + 1] - at
        tier_sum = sum_of(owed + at, count)
        if tier_sum <= left:
            memcpy(received + at, owed + at, <size_t> count * sizeof(int64_t))
            left -= tier_sum
            continue
        if left == 0:
            memset(received + at, 0, <size_t> (shape.charges - at) * sizeof(int64_t))
            return 0
        share_total(left, owed + at, count, tier_sum, received + at)
        at += count
        if at < shape.charges:
            memset(received + at, 0, <size_t> (shape.charges - at) * sizeof(int64_t))
        return 0
    return left


cdef void designate(
    const shape_t *shape, const named_t *named, const int64_t *owed, int64_t *received
) noexcept nogil:
    """Fill one service's charges by their tiers; what is above their dues goes to the last."""
    cdef int16_t members[CHARGES_MAX]
    cdef int64_t left = named.amount
    cdef int i, t, count, last = -1
    for t in range(shape.tiers):
        count = 0
        for i in range(shape.tier_start[t], shape.tier_start[t + 1]):
            if shape.service[shape.order[i]] == named.service:
                members[count] = shape.order[i]
                count += 1
                if shape.order[i] > last:
                    last = shape.order[i]
        if count > 0:
            left = fill_some(left, owed, members, count, received)
    expect(last >= 0)
    received[last] += left


cdef int split_charges(
    const shape_t *shape, int64_t amount, const int64_t *owed, const int64_t *weight,
    int overpayment, const named_t *named, int named_count, int64_t *charges
) noexcept nogil:
    """From a payment to its charges; see the reference."""
    cdef int64_t designated[CHARGES_MAX]
    cdef int64_t still_owed[CHARGES_MAX]
    cdef int64_t above[CHARGES_MAX]
    cdef int64_t left, weight_sum, named_sum = 0
    cdef int i, n = shape.charges
    if named_count == 0:
        left = fill_tiers(shape, amount, owed, charges)
    else:
        for i in range(named_count):
            if not within(named[i].amount, 0, AMOUNT_MAX):
                return DESIGNATION_OUT_OF_RANGE
            named_sum += named[i].amount
        if named_sum > amount:
            return DESIGNATION_EXCEEDS_AMOUNT
        memset(designated, 0, <size_t> n * sizeof(int64_t))
        for i in range(named_count):
            designate(shape, &named[i], owed, designated)
        for i in range(n):
            still_owed[i] = owed[i] - designated[i] if owed[i] > designated[i] else 0
        left = fill_tiers(shape, amount - named_sum, still_owed, charges)
        for i in range(n):
            charges[i] += designated[i]
    if left > 0:
        if overpayment == -2:
            return OVERPAYMENT
        if overpayment >= 0:
            charges[overpayment] += left
        else:
            weight_sum = sum_of(weight, n)
            if weight_sum == 0:
                return NOTHING_TO_ALLOCATE
            share_total(left, weight, n, weight_sum, above)
            for i in range(n):
                charges[i] += above[i]
    return ACCEPTED if sum_of(charges, n) == amount else BROKEN


cdef int split_shares(
    const shape_t *shape, const fees_t *fees, const int64_t *charges, int64_t *parts,
    int64_t *commissions, int64_t *commission_sum
) noexcept nogil:
    """From charges to the parts of each and the commission on each recipient's gross."""
    cdef int64_t gross[PARTS_MAX]
    cdef int64_t commission, total = 0
    cdef int i, at
    if shape.single:
        memcpy(parts, charges, <size_t> shape.parts * sizeof(int64_t))
    else:
        for i in range(shape.charges):
            at = shape.part_start[i]
            if shape.part_start[i + 1] - at == 1:
                parts[at] = charges[i]
            else:
                share_ppm(charges[i], shape.part_ppm + at, shape.part_start[i + 1] - at, parts + at)
    memset(commissions, 0, <size_t> shape.recipients * sizeof(int64_t))
    if fees.charging > 0:
        memset(gross, 0, <size_t> shape.recipients * sizeof(int64_t))
        for i in range(shape.parts):
            gross[shape.part_recipient[i]] += parts[i]
        for i in range(fees.charging):
            at = fees.who[i]
            commission = fee_of(gross[at], &fees.rules[i])
            commissions[at] = commission if commission < gross[at] else gross[at]
            total += commissions[at]
    commission_sum[0] = total
    return ACCEPTED if sum_of(parts, shape.parts) == sum_of(charges, shape.charges) else BROKEN


def split_flat(Plan plan not None, const int64_t[::1] amounts, const int64_t[::1] dues,
               int64_t[::1] charges, uint8_t[::1] codes):
    """Many payments over bills of one plan, in flat buffers; see the reference."""
    cdef const shape_t *shape = &plan.shape
    cdef Py_ssize_t k = 0
    cdef Py_ssize_t count = amounts.shape[0]
    cdef Py_ssize_t n = shape.charges
    cdef bint plain = shape.tiers == 1 and n <= FEW_BOUND
    cdef int refused = 0
    if dues.shape[0] != count * n or charges.shape[0] != count * n or codes.shape[0] != count:
        raise ValueError(f"Expected buffers of {count} payments and {n} charges, was other lengths")
    if count == 0:
        return 0
    with nogil:
        memset(&codes[0], ACCEPTED, <size_t> count)
        while True:
            if plain:
                k += share_rows(count - k, <int> n, &amounts[k], &dues[k * n], &charges[k * n])
            if k == count:
                break
            codes[k] = split_row(shape, amounts[k], &dues[k * n], &charges[k * n])
            refused += codes[k] != ACCEPTED
            k += 1
            if k == count:
                break
    return refused


cdef uint8_t split_row(
    const shape_t *shape, int64_t amount, const int64_t *due, int64_t *charges
) noexcept nogil:
    cdef int code
    if not within(amount, 1, AMOUNT_MAX):
        code = AMOUNT_OUT_OF_RANGE
    elif not all_within(due, shape.charges, AMOUNT_MAX):
        code = DUE_OUT_OF_RANGE
    else:
        code = split_charges(shape, amount, due, due, -1, NULL, 0, charges)
    if code != ACCEPTED:
        memset(charges, 0, <size_t> shape.charges * sizeof(int64_t))
    return <uint8_t> code
