# `kopeck split`: one case of the case files, from JSON value to result. A case is read once:
# a wrong shape raises on the spot, as it comes first in CODES; of broken limits the first is kept.

cdef struct case_t:
    shape_t shape
    fee_rule_t surcharge
    int64_t given
    int64_t amount
    int64_t surcharge_paid
    bint is_total
    int overpayment
    int named_count
    int parts
    int worst  # the first refusal so far, and what to tell of it
    int worst_charge
    const char *worst_where
    PyObject *worst_value
    uint8_t tier[CHARGES_MAX]
    uint8_t service[CHARGES_MAX]
    int16_t order[CHARGES_MAX]
    int16_t tier_start[CHARGES_MAX + 1]
    int16_t part_start[CHARGES_MAX + 1]
    int64_t due[CHARGES_MAX]
    int64_t weight[CHARGES_MAX]
    int64_t received[CHARGES_MAX]
    named_t named[CHARGES_MAX]
    int32_t ppm[PARTS_MAX]
    PyObject *recipient[PARTS_MAX]  # borrowed from the case


cdef object misshapen(str what, str where, object value):
    return SplitError("malformed", f"Expected {what} as {where}, was {describe(value)}")


cdef object unknown_keys(str where):
    return SplitError("malformed", f"Expected only the known keys in {where}, was others")


cdef inline void note(
    case_t *read, int code, const char *where, int charge, PyObject *value
) noexcept:
    """Keep a broken limit if it comes before what was found so far."""
    if read.worst == ACCEPTED or code < read.worst:
        read.worst = code
        read.worst_where = where
        read.worst_charge = charge
        read.worst_value = value


cdef object told(const case_t *read):
    cdef str where = read.worst_where.decode("ascii")
    if read.worst_charge >= 0:
        where = f"{where} of charge {read.worst_charge}"
    if read.worst_value == NULL:
        return refusal(read.worst, f"Expected {where} within its limits, was not")
    return outside(read.worst, where, <object> read.worst_value)


cdef int read_fee(object value, fee_rule_t *rule) except -1:
    """A fee's object read, its limits not yet checked."""
    cdef Py_ssize_t known = 0
    cdef PyObject *found
    if not PyDict_CheckExact(value):
        raise misshapen("an object", "a fee", value)
    memset(rule, 0, sizeof(fee_rule_t))
    rule.max = INT64_MAX
    found = PyDict_GetItem(value, "ppm")
    if found != NULL:
        known += 1
        rule.ppm = whole(<object> found, "a fee's ppm")
    found = PyDict_GetItem(value, "fixed")
    if found != NULL:
        known += 1
        rule.fixed = whole(<object> found, "a fee's fixed")
    found = PyDict_GetItem(value, "min")
    if found != NULL:
        known += 1
        rule.min = whole(<object> found, "a fee's min")
    found = PyDict_GetItem(value, "max")
    if found != NULL:
        known += 1
        rule.max = whole(<object> found, "a fee's max")
        if rule.max == INT64_MAX:
            rule.max = -1  # beyond the limit, not absent
    if PyDict_Size(value) != known:
        raise unknown_keys("a fee")
    return 0


cdef int read_entry(case_t *read, object entry, int charge, int64_t *ppm_sum) except -1:
    """One second-level entry into the next part."""
    cdef PyObject *recipient
    cdef PyObject *ppm
    cdef int64_t number
    if not PyDict_CheckExact(entry):
        raise misshapen("an object", "a second-level entry", entry)
    recipient = PyDict_GetItem(entry, "recipient")
    ppm = PyDict_GetItem(entry, "ppm")
    if recipient == NULL or ppm == NULL or PyDict_Size(entry) != 2:
        raise unknown_keys("a second-level entry")
    if not PyUnicode_CheckExact(<object> recipient):
        raise misshapen("a string", "a recipient", <object> recipient)
    number = whole(<object> ppm, "a second-level ppm")
    if not within(number, 0, PPM):
        note(read, SECOND_LEVEL_OUT_OF_RANGE, b"a ppm", charge, ppm)
        number = 0
    ppm_sum[0] += number
    read.recipient[read.parts] = recipient
    read.ppm[read.parts] = <int32_t> number
    read.parts += 1
    return 0


cdef int read_second_level(case_t *read, object entries, int charge, int64_t *ppm_sum) except -1:
    cdef Py_ssize_t i, count
    cdef int start = read.parts
    if not PyList_CheckExact(entries):
        raise misshapen("an array", "a second level", entries)
    count = PyList_GET_SIZE(entries)
    if count > SECOND_LEVEL_MAX:
        note(read, SECOND_LEVEL_OUT_OF_RANGE, b"the second level", charge, NULL)
    for i in range(count):
        read_entry(read, <object> PyList_GET_ITEM(entries, i), charge, ppm_sum)
        if i >= SECOND_LEVEL_MAX:  # refused already: its shape still counts, its place does not
            read.parts = start
    if ppm_sum[0] > PPM:
        note(read, SECOND_LEVEL_OUT_OF_RANGE, b"the sum of ppm", charge, NULL)
    return 0


cdef int read_charge(case_t *read, object value, int charge) except -1:
    """One charge into its place; those beyond CHARGES_MAX are refused and share the last."""
    cdef int at = charge if charge < CHARGES_MAX else CHARGES_MAX - 1
    cdef Py_ssize_t known = 2
    cdef PyObject *recipient
    cdef PyObject *due
    cdef PyObject *found
    cdef int64_t number
    cdef int64_t ppm_sum = 0
    if charge >= CHARGES_MAX:
        read.parts = 0
    if not PyDict_CheckExact(value):
        raise misshapen("an object", "a charge", value)
    recipient = PyDict_GetItem(value, "recipient")
    due = PyDict_GetItem(value, "due")
    if recipient == NULL or due == NULL:
        raise unknown_keys("a charge")
    if not PyUnicode_CheckExact(<object> recipient):
        raise misshapen("a string", "a recipient", <object> recipient)
    read.due[at] = read.weight[at] = whole(<object> due, "a due")
    if not within(read.due[at], 0, AMOUNT_MAX):
        note(read, DUE_OUT_OF_RANGE, b"the due", charge, due)
    read.part_start[at] = <int16_t> read.parts
    found = PyDict_GetItem(value, "second_level")
    if found != NULL:
        known += 1
        read_second_level(read, <object> found, charge, &ppm_sum)
    read.recipient[read.parts] = recipient
    read.ppm[read.parts] = <int32_t> (PPM - ppm_sum) if ppm_sum <= PPM else 0
    read.parts += 1
    read.tier[at] = 0
    found = PyDict_GetItem(value, "tier")
    if found != NULL:
        known += 1
        number = whole(<object> found, "a tier")
        read.tier[at] = <uint8_t> number
        if not within(number, 0, TIER_MAX):
            note(read, TIER_OUT_OF_RANGE, b"the tier", charge, found)
    found = PyDict_GetItem(value, "weight")
    if found != NULL:
        known += 1
        read.weight[at] = whole(<object> found, "a weight")
        if not within(read.weight[at], 0, AMOUNT_MAX):
            note(read, WEIGHT_OUT_OF_RANGE, b"the weight", charge, found)
    found = PyDict_GetItem(value, "service")
    if found != NULL:
        known += 1
        if not PyUnicode_CheckExact(<object> found):
            raise misshapen("a string", "a service", <object> found)
    if PyDict_Size(value) != known:
        raise unknown_keys("a charge")
    return 0


cdef int read_charges(case_t *read, object charges) except -1:
    cdef Py_ssize_t i, count
    if not PyList_CheckExact(charges):
        raise misshapen("an array", "the charges", charges)
    count = PyList_GET_SIZE(charges)
    if count > INT64_MAX // 2 or count < 1 or count > CHARGES_MAX:
        note(read, CHARGES_OUT_OF_RANGE, b"the number of charges", -1, NULL)
    for i in range(count):
        read_charge(read, <object> PyList_GET_ITEM(charges, i),
                    <int> i if i < CHARGES_MAX else CHARGES_MAX)
    read.shape.charges = <int> count if count <= CHARGES_MAX else CHARGES_MAX
    return 0


cdef Py_ssize_t charge_index(object key, Py_ssize_t charges) except -2:
    """The charge that a designation's key names in plain decimal digits, or -1."""
    cdef Py_ssize_t index = 0
    cdef Py_UCS4 digit
    if not PyUnicode_CheckExact(key) or not 1 <= len(<str> key) <= 18:
        return -1
    for digit in <str> key:
        if digit < 48 or digit > 57:  # ASCII digits alone
            return -1
        index = index * 10 + <Py_ssize_t> digit - 48
    if (<str> key)[0] == "0" and len(<str> key) > 1:
        return -1
    return index if index < charges else -1


cdef int read_designation(case_t *read, object value, Py_ssize_t charges) except -1:
    cdef Py_ssize_t place = 0, index
    cdef PyObject *key
    cdef PyObject *kopecks
    cdef named_t named
    if not PyDict_CheckExact(value):
        raise misshapen("an object", "the designation", value)
    while PyDict_Next(value, &place, &key, &kopecks):
        index = charge_index(<object> key, charges)
        if index < 0:
            raise SplitError("malformed", "Expected a charge's index as designation, was another")
        named.amount = whole(<object> kopecks, "a designated amount")
        named.service = <int32_t> index
        if not within(named.amount, 0, AMOUNT_MAX):
            note(read, DESIGNATION_OUT_OF_RANGE, b"the designation", <int> index, kopecks)
        if read.named_count < CHARGES_MAX:
            read.named[read.named_count] = named
            read.named_count += 1
    return 0


cdef int read_overpayment(case_t *read, object value, Py_ssize_t charges) except -1:
    cdef PyObject *charge
    cdef int64_t index
    if PyUnicode_CheckExact(value) and value == "weights":
        read.overpayment = -1
    elif PyUnicode_CheckExact(value) and value == "reject":
        read.overpayment = -2
    else:
        if not PyDict_CheckExact(value):
            raise misshapen("a policy", "the overpayment", value)
        charge = PyDict_GetItem(value, "charge")
        if charge == NULL or PyDict_Size(value) != 1:
            raise unknown_keys("the overpayment")
        index = whole(<object> charge, "the overpayment's charge")
        if not within(index, 0, charges - 1):
            raise outside(MALFORMED, "the overpayment's charge", <object> charge)
        read.overpayment = <int> index if index < CHARGES_MAX else 0
    return 0


cdef int read_commissions(case_t *read, object rules) except -1:
    cdef Py_ssize_t place = 0
    cdef PyObject *name
    cdef PyObject *rule
    cdef fee_rule_t fee_rule
    if not PyDict_CheckExact(rules):
        raise misshapen("an object", "the commissions", rules)
    while PyDict_Next(rules, &place, &name, &rule):
        if not PyUnicode_CheckExact(<object> name):
            raise misshapen("a string", "a recipient", <object> name)
        read_fee(<object> rule, &fee_rule)
        if not rule_within(&fee_rule):
            note(read, FEE_OUT_OF_RANGE, b"a commission", -1, NULL)
    return 0


cdef int read_options(case_t *read, object case, Py_ssize_t charges) except -1:
    """The keys that may be absent: how many there are."""
    cdef Py_ssize_t known = 0
    cdef PyObject *found
    found = PyDict_GetItem(case, "designation")
    if found != NULL:
        known += 1
        read_designation(read, <object> found, charges)
    found = PyDict_GetItem(case, "overpayment")
    if found != NULL:
        known += 1
        read_overpayment(read, <object> found, charges)
    found = PyDict_GetItem(case, "surcharge")
    if found != NULL:
        known += 1
        read_fee(<object> found, &read.surcharge)
    found = PyDict_GetItem(case, "commissions")
    if found != NULL:
        known += 1
        read_commissions(read, <object> found)
    return <int> known


cdef int read_case(case_t *read, object case) except -1:
    """A whole case: malformed raises, the first broken limit is in `worst`."""
    cdef PyObject *amount
    cdef PyObject *total
    cdef PyObject *charges
    cdef Py_ssize_t known
    cdef int code
    if not PyDict_CheckExact(case):
        raise misshapen("an object", "a case", case)
    amount = PyDict_GetItem(case, "amount")
    total = PyDict_GetItem(case, "total")
    charges = PyDict_GetItem(case, "charges")
    if (amount == NULL) == (total == NULL) or charges == NULL:
        raise SplitError("malformed", "Expected charges and an amount or a total, was other")
    read.is_total = amount == NULL
    if read.is_total:
        amount = total
    read.given = whole(<object> amount, "the amount")
    if read.given == INT64_MAX and <object> amount > INT64_MAX:
        read.given = 0
    read_charges(read, <object> charges)
    known = 2 + read_options(read, case, PyList_GET_SIZE(<object> charges))
    if PyDict_Size(case) != known:
        raise unknown_keys("a case")
    code = priced(read.given, read.is_total, &read.surcharge, &read.amount, &read.surcharge_paid)
    if code != ACCEPTED:
        note(read, code, b"the amount" if code == AMOUNT_OUT_OF_RANGE else b"the surcharge", -1,
             amount if code == AMOUNT_OUT_OF_RANGE else NULL)
    return 0


cdef int split_read(case_t *read) noexcept nogil:
    """The charges of a case within its limits."""
    cdef int i
    read.shape.tier = read.tier
    read.shape.service = read.service
    read.shape.order = read.order
    read.shape.tier_start = read.tier_start
    for i in range(read.shape.charges):
        read.service[i] = <uint8_t> i
    read.part_start[read.shape.charges] = <int16_t> read.parts
    order_tiers(&read.shape)
    return split_charges(&read.shape, read.amount, read.due, read.weight, read.overpayment,
                         read.named, read.named_count, read.received)


cdef list list_shares(const case_t *read, dict gross):
    """The shares above 0, and what each recipient receives in all, by first appearance."""
    cdef int64_t kopecks[SECOND_LEVEL_MAX + 1]
    cdef list shares = []
    cdef object recipient, amount
    cdef PyObject *before
    cdef int i, j, at, count
    for i in range(read.shape.charges):
        if read.received[i] == 0:
            continue
        at = read.part_start[i]
        count = read.part_start[i + 1] - at
        if count == 1:
            kopecks[0] = read.received[i]
        else:
            share_ppm(read.received[i], read.ppm + at, count, kopecks)
        for j in range(count):
            if kopecks[j] > 0:
                recipient = <object> read.recipient[at + j]
                amount = kopecks[j]
                shares.append({"charge": i, "recipient": recipient, "amount": amount})
                before = PyDict_GetItem(gross, recipient)
                gross[recipient] = amount if before == NULL else <object> before + amount
    return shares


cdef list list_recipients(dict gross, PyObject *rules):
    cdef list rows = []
    cdef fee_rule_t fee_rule
    cdef PyObject *rule
    cdef int64_t received, commission
    for recipient, amount in gross.items():
        received = amount
        commission = 0
        if rules != NULL:
            rule = PyDict_GetItem(<object> rules, recipient)
            if rule != NULL:
                read_fee(<object> rule, &fee_rule)
                commission = min(fee_of(received, &fee_rule), received)
        rows.append({"recipient": recipient, "gross": amount, "commission": commission,
                     "net": received - commission})
    return rows


def split_case(object case):
    """The allocation of one case, as the case files have it; see the reference."""
    cdef case_t read
    cdef int code
    cdef dict gross = {}
    cdef list shares
    read.worst = ACCEPTED
    read.named_count = read.parts = 0
    read.overpayment = -1
    memset(&read.surcharge, 0, sizeof(fee_rule_t))
    read.surcharge.max = INT64_MAX
    read_case(&read, case)
    if read.worst != ACCEPTED:
        raise told(&read)
    code = split_read(&read)
    if code != ACCEPTED:
        raise refusal(code, "Expected a payment that can be split, was none")
    shares = list_shares(&read, gross)
    return {
        "amount": read.amount,
        "surcharge": read.surcharge_paid,
        "total": read.amount + read.surcharge_paid,
        "charges": to_list(read.received, read.shape.charges),
        "shares": shares,
        "recipients": list_recipients(gross, PyDict_GetItem(case, "commissions")),
    }
