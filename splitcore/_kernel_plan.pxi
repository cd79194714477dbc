# Plans and fees: a bill's structure and its commission rules, checked once, laid out for the loops.

cdef enum:
    PLAN_VERSION = 1
    PLAN_HEAD = 3
    PLAN_CHARGE = 5
    PLAN_ENTRY = 5


@cython.final
@cython.auto_pickle(False)
cdef class Plan:
    """A bill's structure, compiled: its tiers, its services, and who shares in each charge.

    The contract is the reference's; what is here is one block of memory and where it ends.
    """
    cdef shape_t shape
    cdef void *block
    cdef bytes canonical
    cdef tuple part_charge_tuple
    cdef tuple part_recipient_tuple

    def __cinit__(self):
        self.block = NULL

    def __init__(self, tiers, services, parts):
        if self.block != NULL:
            raise TypeError("Expected a plan made once, was made again")
        self.fill(tiers, services, parts)
        self.arrange()

    def __dealloc__(self):
        PyMem_Free(self.block)

    cdef int reserve(self, int charges, int parts) except -1:
        """The one block of memory, its arrays placed by falling alignment."""
        cdef size_t n = <size_t> charges
        cdef size_t p = <size_t> parts
        cdef char *at
        self.block = PyMem_Malloc(p * 8 + (3 * n + 2) * 2 + 2 * n)
        if self.block == NULL:
            raise MemoryError()
        at = <char *> self.block
        self.shape.charges = charges
        self.shape.parts = parts
        self.shape.part_ppm = <int32_t *> at
        self.shape.part_charge = <int16_t *> (at + p * 4)
        self.shape.part_recipient = self.shape.part_charge + p
        self.shape.order = self.shape.part_recipient + p
        self.shape.tier_start = self.shape.order + n
        self.shape.part_start = self.shape.tier_start + n + 1
        self.shape.tier = <uint8_t *> (self.shape.part_start + n + 1)
        self.shape.service = self.shape.tier + n
        return 0

    cdef int fill(self, object tiers, object services, object parts) except -1:
        """Copy and check a plan given in Python."""
        cdef Py_ssize_t n = len(tiers)
        cdef Py_ssize_t i, p = 0
        cdef int worst = ACCEPTED
        cdef list of_charges = [list(of_charge) for of_charge in parts]
        if len(services) != n or len(of_charges) != n:
            raise refusal(MALFORMED, "Expected as many tiers as services and parts, was not")
        for i in range(n):
            if not of_charges[i]:
                raise refusal(MALFORMED, f"Expected a part of charge {i}, was none")
            p += len(of_charges[i])
        if n == 0 or n > CHARGES_MAX:
            worst = CHARGES_OUT_OF_RANGE
        for i in range(n):
            if whole(services[i], f"service {i}") < 0 or services[i] >= n:
                raise refusal(MALFORMED, f"Expected service {i} below {n}, was other")
            if not within(whole(tiers[i], f"tier {i}"), 0, TIER_MAX):
                worst = first(worst, TIER_OUT_OF_RANGE)
            worst = first(worst, check_parts(of_charges[i], i))
        if worst != ACCEPTED:
            raise refusal(worst, "Expected a plan within its limits, was not")
        self.reserve(<int> n, <int> p)
        p = 0
        for i in range(n):
            self.shape.tier[i] = tiers[i]
            self.shape.service[i] = services[i]
            self.shape.part_start[i] = <int16_t> p
            for recipient, ppm in of_charges[i]:
                self.shape.part_recipient[p] = recipient
                self.shape.part_ppm[p] = ppm
                p += 1
        return 0

    cdef int arrange(self) except -1:
        """What follows from the tiers and parts: the order of filling, the counts."""
        cdef shape_t *shape = &self.shape
        cdef int i, at, n = shape.charges
        order_tiers(shape)
        shape.part_start[n] = <int16_t> shape.parts
        shape.single = shape.parts == n
        shape.recipients = 0
        for i in range(n):
            for at in range(shape.part_start[i], shape.part_start[i + 1]):
                shape.part_charge[at] = <int16_t> i
                if shape.part_recipient[at] >= shape.recipients:
                    shape.recipients = shape.part_recipient[at] + 1
        return 0

    @property
    def charges(self):
        return self.shape.charges

    @property
    def parts(self):
        return self.shape.parts

    @property
    def recipients(self):
        return self.shape.recipients

    @property
    def part_charge(self):
        if self.part_charge_tuple is None:
            self.part_charge_tuple = tuple(
                [self.shape.part_charge[i] for i in range(self.shape.parts)])
        return self.part_charge_tuple

    @property
    def part_recipient(self):
        if self.part_recipient_tuple is None:
            self.part_recipient_tuple = tuple(
                [self.shape.part_recipient[i] for i in range(self.shape.parts)])
        return self.part_recipient_tuple

    @property
    def part_ppm(self):
        return tuple([self.shape.part_ppm[i] for i in range(self.shape.parts)])

    @property
    def tiers(self):
        return tuple([self.shape.tier[i] for i in range(self.shape.charges)])

    def to_bytes(self):
        """The canonical bytes: version, count, then each charge; the last part's ppm is implied."""
        cdef const shape_t *shape = &self.shape
        cdef int i, at, last
        cdef uint8_t *out
        cdef bytes made
        if self.canonical is not None:
            return self.canonical
        made = PyBytes_FromStringAndSize(
            NULL, PLAN_HEAD + PLAN_CHARGE * shape.charges
            + PLAN_ENTRY * (shape.parts - shape.charges))
        out = <uint8_t *> PyBytes_AS_STRING(made)
        out[0] = PLAN_VERSION
        out = put(out + 1, <uint32_t> shape.charges, 2)
        for i in range(shape.charges):
            last = shape.part_start[i + 1] - 1
            out[0] = shape.tier[i]
            out[1] = shape.service[i]
            out[2] = <uint8_t> (last - shape.part_start[i])
            out = put(out + 3, <uint32_t> shape.part_recipient[last], 2)
            for at in range(shape.part_start[i], last):
                out = put(out, <uint32_t> shape.part_recipient[at], 2)
                out = put(out, <uint32_t> shape.part_ppm[at], 3)
        self.canonical = made
        return made

    @classmethod
    def from_bytes(cls, b):
        """The plan of those bytes. SplitError (a ValueError) on anything `to_bytes` never makes."""
        cdef Plan plan = Plan.__new__(Plan)
        cdef const uint8_t *at
        cdef Py_ssize_t size
        cdef int parts
        if not PyBytes_CheckExact(b):
            raise refusal(MALFORMED, f"Expected a plan's bytes, was {describe(b)}")
        at = <const uint8_t *> PyBytes_AS_STRING(b)
        size = PyBytes_GET_SIZE(b)
        parts = plan_parts(at, size)
        if parts < 0:
            raise refusal(MALFORMED, "Expected the bytes of a plan, was other bytes")
        plan.reserve(<int> get(at + 1, 2), parts)
        if not plan_fill(at, &plan.shape):
            raise refusal(MALFORMED, "Expected a plan within its limits, was other bytes")
        plan.arrange()
        plan.canonical = b
        return plan

    def __eq__(self, other):
        if not isinstance(other, Plan):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    def __hash__(self):
        return hash(self.to_bytes())

    def __reduce__(self):
        return Plan.from_bytes, (self.to_bytes(),)


cdef void order_tiers(shape_t *shape) noexcept nogil:
    """Charges by tier, places kept within one: a counting sort of `tier` into `order`."""
    cdef int16_t tally[TIER_MAX + 2]
    cdef int i, at, t, low = TIER_MAX, high = 0
    for i in range(shape.charges):
        low = min(low, <int> shape.tier[i])
        high = max(high, <int> shape.tier[i])
    memset(&tally[low], 0, <size_t> (high + 2 - low) * sizeof(int16_t))
    for i in range(shape.charges):
        tally[shape.tier[i] + 1] += 1
    shape.tiers = 0
    for t in range(low, high + 1):
        if tally[t + 1] > 0:
            shape.tier_start[shape.tiers] = tally[t]
            shape.tiers += 1
        tally[t + 1] += tally[t]
    shape.tier_start[shape.tiers] = <int16_t> shape.charges
    shape.ordered = True
    for i in range(shape.charges):
        at = tally[shape.tier[i]]
        tally[shape.tier[i]] += 1
        shape.order[at] = <int16_t> i
        if at != i:
            shape.ordered = False


cdef inline int first(int worst, int code) noexcept nogil:
    """The earlier of two refusals in the order of CODES."""
    if worst == ACCEPTED:
        return code
    return worst if code == ACCEPTED or worst < code else code


cdef int check_parts(list of_charge, Py_ssize_t charge) except -1:
    """The parts of one charge: malformed raises, a limit returns its code."""
    cdef int64_t sum_ppm = 0
    cdef int64_t number
    cdef int code = ACCEPTED
    if len(of_charge) > SECOND_LEVEL_MAX + 1:
        code = SECOND_LEVEL_OUT_OF_RANGE
    for pair in of_charge:
        if len(pair) != 2:
            raise refusal(MALFORMED, f"Expected pairs as parts of charge {charge}, was other")
        number = whole(pair[0], f"a recipient of charge {charge}")
        if not within(number, 0, PARTS_MAX - 1):
            raise outside(MALFORMED, f"a recipient of charge {charge}", pair[0])
        number = whole(pair[1], f"ppm of charge {charge}")
        if not within(number, 0, PPM):
            code = SECOND_LEVEL_OUT_OF_RANGE
        elif sum_ppm <= PPM:
            sum_ppm += number
    return code if sum_ppm == PPM else SECOND_LEVEL_OUT_OF_RANGE


cdef inline uint8_t *put(uint8_t *out, uint32_t number, int width) noexcept nogil:
    """Write a big-endian number: the place after it."""
    cdef int i
    for i in range(width):
        out[i] = <uint8_t> (number >> (8 * (width - 1 - i)))
    return out + width


cdef inline uint32_t get(const uint8_t *at, int width) noexcept nogil:
    cdef uint32_t number = 0
    cdef int i
    for i in range(width):
        number = number << 8 | at[i]
    return number


cdef int plan_parts(const uint8_t *at, Py_ssize_t size) noexcept nogil:
    """How many parts a plan's bytes hold, or -1 if they end too early or too late."""
    cdef Py_ssize_t place = PLAN_HEAD
    cdef int i, charges, parts = 0
    if size < PLAN_HEAD or at[0] != PLAN_VERSION:
        return -1
    charges = <int> get(at + 1, 2)
    if charges < 1 or charges > CHARGES_MAX:
        return -1
    for i in range(charges):
        if place + PLAN_CHARGE > size or at[place + 2] > SECOND_LEVEL_MAX:
            return -1
        parts += at[place + 2] + 1
        place += PLAN_CHARGE + PLAN_ENTRY * at[place + 2]
    return parts if place == size else -1


cdef bint plan_fill(const uint8_t *at, shape_t *shape) noexcept nogil:
    """Copy the bytes of a plan whose length is right: whether every number is within its limits."""
    cdef int i, j, entries, p = 0
    cdef int32_t own, rest, ppm
    at += PLAN_HEAD
    for i in range(shape.charges):
        shape.tier[i] = at[0]
        shape.service[i] = at[1]
        entries = at[2]
        own = <int32_t> get(at + 3, 2)
        shape.part_start[i] = <int16_t> p
        if at[1] >= shape.charges or own >= PARTS_MAX:
            return False
        at += PLAN_CHARGE
        rest = PPM
        for j in range(entries):
            ppm = <int32_t> get(at + 2, 3)
            if get(at, 2) >= PARTS_MAX or ppm > rest:
                return False
            shape.part_recipient[p] = <int16_t> get(at, 2)
            shape.part_ppm[p] = ppm
            rest -= ppm
            p += 1
            at += PLAN_ENTRY
        shape.part_recipient[p] = <int16_t> own
        shape.part_ppm[p] = rest
        p += 1
    return True


@cython.final
@cython.auto_pickle(False)
cdef class Fees:
    """One commission rule for each of a plan's recipient indexes, checked once; None is no fee.

    SplitError: malformed, fee_out_of_range.
    """
    cdef fees_t fees

    def __cinit__(self):
        memset(&self.fees, 0, sizeof(fees_t))

    def __init__(self, rules):
        cdef list given = list(rules)
        cdef Py_ssize_t count = PyList_GET_SIZE(given)
        if self.fees.rules != NULL:
            raise TypeError("Expected fees made once, was made again")
        if count > PARTS_MAX:
            raise refusal(MALFORMED, f"Expected at most {PARTS_MAX} rules, was {count}")
        self.fees.rules = <fee_rule_t *> PyMem_Malloc(
            <size_t> (count + 1) * (sizeof(fee_rule_t) + sizeof(int16_t)))
        if self.fees.rules == NULL:
            raise MemoryError()
        self.fees.who = <int16_t *> (self.fees.rules + count + 1)
        self.fees.count = <int32_t> count
        self.fill(given)

    cdef int fill(self, list given) except -1:
        cdef fee_rule_t *rule
        cdef bint fits = True
        cdef int i
        for i in range(self.fees.count):
            rule = self.fees.rules + self.fees.charging
            if not read_rule(given[i], rule):
                raise refusal(MALFORMED, f"Expected a FeeRule of integers as rule {i}, was another")
            fits = fits and rule_within(rule)
            if rule.max != 0 and (rule.ppm != 0 or rule.fixed != 0 or rule.min != 0):
                self.fees.who[self.fees.charging] = <int16_t> i
                self.fees.charging += 1
        if not fits:
            raise refusal(FEE_OUT_OF_RANGE, "Expected every fee within its limits, was not")
        return 0

    def __dealloc__(self):
        PyMem_Free(self.fees.rules)

    def __len__(self):
        return self.fees.count
