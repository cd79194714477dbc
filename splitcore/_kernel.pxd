# The drawing of the kernel: what its C arithmetic offers, and how a plan, a bill and a payment lie
# in memory.

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t


cdef extern from "_arithmetic.h" nogil:
    ctypedef struct fee_rule_t:
        int64_t ppm
        int64_t fixed
        int64_t min
        int64_t max

    int PARTS_BOUND
    int FEW_BOUND
    const char *BUILD_NAME
    int64_t sum_of(const int64_t *values, int count)
    int64_t bits_of(const int64_t *values, int count)
    int64_t fee_of(int64_t x, const fee_rule_t *rule)
    int64_t amount_for_total_of(int64_t total, const fee_rule_t *rule)
    void share_total(int64_t total, const int64_t *weights, int count, int64_t sum, int64_t *shares)
    int64_t share_rows(int64_t rows, int count, const int64_t *amounts, const int64_t *dues,
                       int64_t *shares)
    void share_ppm(int64_t x, const int32_t *ppm, int count, int64_t *shares)
    int choose_lanes(int lanes)
    void expect "EXPECT"(bint holds)


# Why a payment is refused, in the order of errors.CODES; the module compares the two at import.
cdef enum status:
    ACCEPTED = 0
    MALFORMED
    AMOUNT_OUT_OF_RANGE
    CHARGES_OUT_OF_RANGE
    DUE_OUT_OF_RANGE
    TIER_OUT_OF_RANGE
    WEIGHT_OUT_OF_RANGE
    SECOND_LEVEL_OUT_OF_RANGE
    FEE_OUT_OF_RANGE
    DESIGNATION_OUT_OF_RANGE
    DESIGNATION_EXCEEDS_AMOUNT
    OVERPAYMENT
    NOTHING_TO_ALLOCATE
    TOTAL_OUT_OF_RANGE
    BROKEN  # not a refusal: kopecks were lost or made, which is a defect


cdef struct shape_t:
    # A plan: arrays of `charges`, `parts` or `tiers` entries inside one block of memory.
    int32_t charges
    int32_t parts
    int32_t recipients
    int32_t tiers
    bint ordered  # the charges already stand in the order of their tiers
    bint single  # every charge has one part: shares are charges
    uint8_t *tier
    uint8_t *service
    int16_t *order  # charges by tier, then by place
    int16_t *tier_start  # tiers + 1 places of `order`
    int16_t *part_start  # charges + 1 places of the part arrays
    int16_t *part_charge
    int16_t *part_recipient
    int32_t *part_ppm


cdef struct fees_t:
    # Commission rules; those that charge nothing, whatever the gross, are left out.
    int32_t count  # recipients they are for
    int32_t charging
    fee_rule_t *rules  # `charging` rules
    int16_t *who  # whose they are


cdef struct named_t:
    # One designation: kopecks named for a service.
    int64_t amount
    int32_t service


cdef struct bill_t:
    const shape_t *shape
    const fees_t *fees
    int64_t at  # place of its due, weight and paid in the group's values
    int32_t overpayment


cdef struct payment_t:
    fee_rule_t surcharge_rule
    int64_t given  # amount, or total when `is_total`
    int64_t amount
    int64_t surcharge
    int64_t commission
    int64_t at  # place of its charges, parts and commissions in the group's results
    int64_t named_at
    int32_t named
    int32_t bill
    int32_t code
    bint is_total
