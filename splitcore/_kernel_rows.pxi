# Rows of shares as text: what one recipient received, payment by payment, out of packed records.

cdef extern from "string.h" nogil:
    void *memchr(const void *s, int c, size_t n)

cdef enum:
    LAYOUT_TEXTS = 14
    ROW_KINDS = 6  # 0 a payment, 1 a refund, ...; what is odd is taken back
    RECORD_HEAD = 29  # place, moment, payment, kind
    MOMENT_TEXT = 32
    HEX_TEXT = 32
    NUMBER_TEXT = 20
    # Beside the layout, the service and a record's own texts, a row takes no more than this.
    ROW_TEXT = MOMENT_TEXT + 3 * NUMBER_TEXT + HEX_TEXT
    ROWS_BETWEEN_CARRIES = 1 << 18
    DIGIT_BITS = 11
    DIGITS = 1 << DIGIT_BITS

cdef int64_t MARCH_0_TO_2000 = 63108720000000000  # microseconds
cdef int64_t MOMENT_START = -63082281600000000  # the year 1
cdef int64_t MOMENT_END = 252455616000000000  # the year 10000
cdef const char *HEX_DIGITS = "0123456789abcdef"


cdef struct page_text_t:
    const char *start
    Py_ssize_t size


cdef struct record_t:
    const uint8_t *start
    const page_text_t *services  # of the record's plan, by place; those of others have no start
    Py_ssize_t texts  # bytes of account and period, each ended by a line feed
    int32_t place
    int32_t parts
    int32_t recipients  # 0: nothing was withheld from anybody
    int32_t withheld_at  # -1: nothing is ever withheld from this one


cdef struct turn_t:
    uint32_t place  # above the least
    int32_t record


cdef turn_t *in_turn(turn_t *turns, turn_t *spare, Py_ssize_t count, uint32_t most) noexcept nogil:
    """Turns in the order of their places, at most `most`: digit by digit, the least first."""
    cdef Py_ssize_t starts[DIGITS]
    cdef Py_ssize_t i, start, size
    cdef uint32_t digit
    cdef int shift = 0
    cdef turn_t *swapped
    while True:
        memset(starts, 0, sizeof(starts))
        for i in range(count):
            starts[(turns[i].place >> shift) & (DIGITS - 1)] += 1
        start = 0
        for i in range(DIGITS):
            size = starts[i]
            starts[i] = start
            start += size
        for i in range(count):
            digit = (turns[i].place >> shift) & (DIGITS - 1)
            spare[starts[digit]] = turns[i]
            starts[digit] += 1
        swapped = turns
        turns = spare
        spare = swapped
        shift += DIGIT_BITS
        if shift >= 32 or most >> shift == 0:
            return turns


cdef inline char *put_text(char *out, const char *text, Py_ssize_t size) noexcept nogil:
    memcpy(out, text, <size_t> size)
    return out + size


cdef inline char *put_number(char *out, int64_t number) noexcept nogil:
    """The digits of a number of at most AMOUNT_MAX, before or behind zero."""
    if number < 0:
        out[0] = c"-"
        out += 1
        number = -number
    return out + put_digits(<uint8_t *> out, <uint64_t> number)


cdef char *put_padded(char *out, int64_t number, int digits) noexcept nogil:
    cdef int at
    for at in range(digits - 1, -1, -1):
        out[at] = <char> (48 + number % 10)
        number //= 10
    return out + digits


cdef char *put_moment(char *out, int64_t moment) noexcept nogil:
    """Microseconds from 2000 on as RFC 3339 in UTC, a fraction only where there is one."""
    # Years begin in March of the year 0 here, so that a leap day is the last; an era is 400 years.
    cdef int64_t days = (moment + MARCH_0_TO_2000) // 86400000000LL
    cdef int64_t left = moment + MARCH_0_TO_2000 - days * 86400000000LL
    cdef int64_t seconds = left // 1000000
    cdef int64_t era, of_era, year_of_era, of_year, month, year
    left -= seconds * 1000000
    era = days // 146097
    of_era = days - era * 146097
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153
    year = year_of_era + era * 400 + (1 if month >= 10 else 0)
    out = put_padded(out, year, 4)
    out = put_padded(put_text(out, "-", 1), month + 3 if month < 10 else month - 9, 2)
    out = put_padded(put_text(out, "-", 1), of_year - (153 * month + 2) // 5 + 1, 2)
    out = put_padded(put_text(out, "T", 1), seconds // 3600, 2)
    out = put_padded(put_text(out, ":", 1), seconds // 60 % 60, 2)
    out = put_padded(put_text(out, ":", 1), seconds % 60, 2)
    if left != 0:
        out = put_padded(put_text(out, ".", 1), left, 6)
    return put_text(out, "+00:00", 6)


cdef object not_a_record(str expected):
    return refusal(MALFORMED, f"Expected {expected} in a record, was other")


@cython.final
@cython.auto_pickle(False)
cdef class _RowPlan:
    """How shares of one plan are told to one recipient."""
    cdef tuple kept  # the texts live here
    cdef page_text_t *services
    cdef int32_t parts
    cdef int32_t recipients
    cdef int32_t withheld_at

    def __dealloc__(self):
        PyMem_Free(self.services)


@cython.final
@cython.auto_pickle(False)
cdef class ShareRows:
    """Rows of one recipient's shares as text, and what they add up to; see the reference."""
    cdef tuple layout
    cdef page_text_t between[LAYOUT_TEXTS]
    cdef Py_ssize_t between_size
    cdef dict plans
    cdef list carried
    cdef int64_t sums[4]  # rows, gross, commission, refunds since they were last carried
    cdef list pages  # records are read where they lie
    cdef record_t *records
    cdef Py_ssize_t records_room
    cdef turn_t *turns  # and as many spare ones
    cdef turn_t *next_turn
    cdef turn_t *last_turn
    cdef char *text
    cdef Py_ssize_t text_room
    cdef uint64_t moment
    cdef char moment_text[MOMENT_TEXT]
    cdef Py_ssize_t moment_size

    def __init__(self, layout):
        cdef Py_ssize_t i
        cdef tuple texts = tuple(layout)
        if self.plans is not None:
            raise TypeError("Expected rows made once, was made again")
        if len(texts) != LAYOUT_TEXTS or any(type(text) is not bytes for text in texts):
            raise refusal(MALFORMED, f"Expected {LAYOUT_TEXTS} texts of a layout, was other")
        self.layout = texts
        self.between_size = 0
        for i in range(LAYOUT_TEXTS):
            self.between[i] = text_of(texts[i])
            self.between_size += self.between[i].size
        self.plans = {}
        self.carried = [0, 0, 0, 0]
        self.moment_size = 0
        memset(self.sums, 0, sizeof(self.sums))

    def __dealloc__(self):
        PyMem_Free(self.records)
        PyMem_Free(self.turns)
        PyMem_Free(self.text)

    def add_plan(self, number, services, recipients, withheld_at):
        """Make a plan known; see the reference."""
        cdef _RowPlan plan = _RowPlan()
        cdef Py_ssize_t i, count
        cdef int64_t number_of = whole(number, "the number of a plan")
        cdef int64_t others = whole(recipients, "the recipients of a plan")
        cdef int64_t at = 0 if withheld_at is None else whole(withheld_at, "a place")
        plan.kept = tuple(services)
        count = len(plan.kept)
        if not (within(count, 1, PARTS_MAX) and within(others, 1, PARTS_MAX)
                and within(at, 0, others - 1)):
            raise refusal(MALFORMED, "Expected a plan within its limits, was not")
        plan.parts = <int32_t> count
        plan.recipients = <int32_t> others
        plan.withheld_at = -1 if withheld_at is None else <int32_t> at
        plan.services = <page_text_t *> PyMem_Malloc(<size_t> count * sizeof(page_text_t))
        if plan.services == NULL:
            raise MemoryError()
        for i in range(count):
            plan.services[i] = text_of(plan.kept[i])
        self.plans[number_of] = plan

    def read(self, pages):
        """Read pages of records, whose rows `next_text` then tells; see the reference."""
        cdef Py_ssize_t i, count = 0
        cdef int32_t least = INT32_MAX, most = INT32_MIN
        self.last_turn = self.next_turn = NULL
        self.pages = list(pages)
        for number, page in self.pages:
            count = self.read_page(number, page, count)
        if count == 0:
            return
        PyMem_Free(self.turns)
        self.turns = <turn_t *> PyMem_Malloc(2 * <size_t> count * sizeof(turn_t))
        if self.turns == NULL:
            raise MemoryError()
        for i in range(count):
            least = min(least, self.records[i].place)
            most = max(most, self.records[i].place)
        for i in range(count):
            self.turns[i].place = <uint32_t> self.records[i].place - <uint32_t> least
            self.turns[i].record = <int32_t> i
        self.next_turn = in_turn(
            self.turns, self.turns + count, count, <uint32_t> most - <uint32_t> least
        )
        self.last_turn = self.next_turn + count

    def next_text(self, size):
        """Further rows, about `size` bytes of them; nothing when all are told."""
        cdef int64_t enough = whole(size, "a size")
        cdef char *out = self.text
        while self.next_turn != self.last_turn and out - self.text < enough:
            out = self.put_record(&self.records[self.next_turn.record], out)
            self.next_turn += 1
            if self.sums[0] >= ROWS_BETWEEN_CARRIES:
                self.carry()
        return PyBytes_FromStringAndSize(self.text, out - self.text)

    def totals(self):
        """(rows, gross, commission, refunds) of all rows told so far, in kopecks."""
        self.carry()
        return tuple(self.carried)

    cdef void carry(self):
        cdef int i
        for i in range(4):
            self.carried[i] += self.sums[i]
            self.sums[i] = 0

    cdef Py_ssize_t read_page(self, object number, object page, Py_ssize_t count) except -1:
        """Find the records of a page, `count` of them being known before: how many now."""
        cdef _RowPlan plan
        cdef const uint8_t *at
        cdef const uint8_t *end
        cdef const uint8_t *text
        cdef Py_ssize_t size
        cdef uint32_t place
        cdef uint64_t moment
        cdef record_t *record
        found = self.plans.get(number)
        if found is None or not PyBytes_CheckExact(page):
            raise not_a_record("a known plan and bytes")
        plan = found
        at = <const uint8_t *> PyBytes_AS_STRING(page)
        end = at + PyBytes_GET_SIZE(page)
        while at < end:
            if count == self.records_room:
                self.grow_records()
            record = &self.records[count]
            if end - at <= RECORD_HEAD or at[RECORD_HEAD - 1] >= ROW_KINDS:
                raise not_a_record("a head")
            memcpy(&place, at, 4)
            memcpy(&moment, at + 4, 8)
            if not within(<int64_t> big64(moment), MOMENT_START, MOMENT_END - 1):
                raise not_a_record("a moment of our era")
            record.start = at
            record.place = <int32_t> big32(place)
            record.services = plan.services
            record.parts = plan.parts
            record.recipients = 0
            record.withheld_at = plan.withheld_at
            at += RECORD_HEAD
            text = at
            for _ in range(2):
                text = <const uint8_t *> memchr(text, c"\n", <size_t> (end - text))
                if text == NULL:
                    raise not_a_record("two lines of text")
                text += 1
            record.texts = text - at
            at = text
            size = packed_size(at, end, plan.parts)
            if size < 0:
                raise not_a_record("a share for each part")
            at += size
            if at < end and at[0] == 0:
                at += 1
            else:
                size = packed_size(at, end, plan.recipients)
                if size < 0:
                    raise not_a_record("a commission for each recipient, or none")
                record.recipients = plan.recipients
                at += size
            count += 1
        return count

    cdef int grow_records(self) except -1:
        cdef Py_ssize_t room = 2 * self.records_room if self.records_room else 1024
        cdef void *grown = PyMem_Realloc(self.records, <size_t> room * sizeof(record_t))
        if grown == NULL:
            raise MemoryError()
        self.records = <record_t *> grown
        self.records_room = room
        return 0

    cdef char *room_for(self, char *out, Py_ssize_t size) except NULL:
        """Where to write on, so that `size` more bytes have room."""
        cdef Py_ssize_t used = out - self.text if self.text != NULL else 0
        cdef Py_ssize_t room
        cdef void *grown
        if self.text != NULL and self.text_room - used >= size:
            return out
        room = 2 * (self.text_room + size)
        grown = PyMem_Realloc(self.text, <size_t> room)
        if grown == NULL:
            raise MemoryError()
        self.text = <char *> grown
        self.text_room = room
        return self.text + used

    cdef char *put_record(self, const record_t *record, char *out) except NULL:
        """The rows of one payment, or of what became of it."""
        cdef int64_t values[PARTS_MAX]
        cdef int64_t shares[PARTS_MAX]
        cdef int64_t withheld[PARTS_MAX]
        cdef const page_text_t *services[PARTS_MAX]
        cdef const uint8_t *vector = record.start + RECORD_HEAD + record.texts
        cdef int kind = record.start[RECORD_HEAD - 1]
        cdef int sign = -1 if kind & 1 else 1
        cdef int64_t total = 0, commission = 0
        cdef Py_ssize_t room = 0
        cdef int i, count = 0
        if read_packed(vector, record.parts, values) < 0:
            raise not_a_record("shares from 0")
        for i in range(record.parts):
            if record.services[i].start == NULL or values[i] == 0:
                continue
            if not within(values[i], 0, AMOUNT_MAX):
                raise not_a_record("shares within their limits")
            shares[count] = values[i]
            services[count] = &record.services[i]
            total += values[i]
            room += record.services[i].size
            count += 1
        if record.recipients > 0:
            if read_packed(vector + 1 + vector[0] * record.parts, record.recipients, values) < 0:
                raise not_a_record("commissions from 0")
            if record.withheld_at >= 0:
                commission = values[record.withheld_at]
        if commission > total or commission > AMOUNT_MAX or (kind == 1 and commission != 0):
            raise not_a_record("a commission within the shares")
        if count == 0:
            return self.room_for(out, 0)
        if commission == 0:
            memset(withheld, 0, <size_t> count * sizeof(int64_t))
        elif count == 1:
            withheld[0] = commission
        else:
            share_total(commission, shares, count, total, withheld)
        self.sums[0] += count
        self.sums[3 if sign < 0 else 1] += total
        self.sums[2] += sign * commission
        room += count * (self.between_size + record.texts + ROW_TEXT)
        out = self.room_for(out, room)
        self.tell_moment(record.start + 4)
        for i in range(count):
            out = self.put_row(record, services[i], kind, sign * shares[i], sign * withheld[i], out)
        return out

    cdef void tell_moment(self, const uint8_t *at) noexcept:
        """The text of a record's moment; those of one commit group have the same."""
        cdef uint64_t moment
        memcpy(&moment, at, 8)
        if self.moment_size == 0 or moment != self.moment:
            self.moment = moment
            self.moment_size = (
                put_moment(self.moment_text, <int64_t> big64(moment)) - self.moment_text
            )

    cdef char *put_row(
        self, const record_t *record, const page_text_t *service, int kind, int64_t gross,
        int64_t withheld, char *out
    ) noexcept:
        cdef const page_text_t *between = self.between
        cdef const char *account = <const char *> record.start + RECORD_HEAD
        cdef const char *period = <const char *> memchr(account, c"\n", <size_t> record.texts) + 1
        cdef int i
        out = put_text(out, between[0].start, between[0].size)
        out = put_text(out, self.moment_text, self.moment_size)
        out = put_text(out, between[1].start, between[1].size)
        out = put_text(out, account, period - account - 1)
        out = put_text(out, between[2].start, between[2].size)
        out = put_text(out, service.start, service.size)
        out = put_text(out, between[3].start, between[3].size)
        out = put_text(out, period, account + record.texts - period - 1)
        out = put_number(put_text(out, between[4].start, between[4].size), gross)
        out = put_number(put_text(out, between[5].start, between[5].size), withheld)
        out = put_number(put_text(out, between[6].start, between[6].size), gross - withheld)
        out = put_text(out, between[7].start, between[7].size)
        for i in range(16):
            out[2 * i] = HEX_DIGITS[record.start[12 + i] >> 4]
            out[2 * i + 1] = HEX_DIGITS[record.start[12 + i] & 15]
        out += HEX_TEXT
        return put_text(out, between[8 + kind].start, between[8 + kind].size)


cdef page_text_t text_of(object text) except *:
    cdef page_text_t found
    found.start = NULL
    found.size = 0
    if text is not None:
        if not PyBytes_CheckExact(text):
            raise refusal(MALFORMED, f"Expected a text in bytes, was {describe(text)}")
        found.start = PyBytes_AS_STRING(text)
        found.size = PyBytes_GET_SIZE(text)
    return found
