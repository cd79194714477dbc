/* The kernel's arithmetic: largest remainder and fees on plain integers, no Python in sight.
 *
 * Everything here is exact. Numbers arrive checked against limits.py; EXPECT states what the caller
 * has promised, costs nothing in a release build and stops the process in a debug build.
 */
#ifndef SPLITCORE_ARITHMETIC_H
#define SPLITCORE_ARITHMETIC_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define PPM_WHOLE 1000000
#define PARTS_BOUND 4352 /* PARTS_MAX of limits.py; the module compares them when it is imported */
#define FEW_BOUND 16     /* weights up to here are shared without leaving the registers */

#ifdef SPLITCORE_DEBUG
#define BUILD_NAME "debug"
#define EXPECT(holds)                                                                  \
    do {                                                                               \
        if (!(holds)) {                                                                \
            fprintf(stderr, "splitcore: expected %s, line %d\n", #holds, __LINE__);    \
            abort();                                                                   \
        }                                                                              \
    } while (0)
#else
#define BUILD_NAME "release"
#define EXPECT(holds) ((void)0)
#endif

__extension__ typedef unsigned __int128 wide_t;

typedef struct {
    int64_t ppm, fixed, min, max; /* kopecks, except ppm; no limit is INT64_MAX */
} fee_rule_t;

/* Sums and bits of a bill's charges, four at a time: most bills are too short for vectors. */
static inline int64_t sum_of(const int64_t *values, int count) {
    int64_t even = 0, odd = 0;
    for (; count >= 4; count -= 4, values += 4) {
        even += values[0] + values[2];
        odd += values[1] + values[3];
    }
    while (count > 0)
        even += values[--count];
    return even + odd;
}

static inline int64_t bits_of(const int64_t *values, int count) {
    int64_t even = 0, odd = 0;
    for (; count >= 4; count -= 4, values += 4) {
        even |= values[0] | values[2];
        odd |= values[1] | values[3];
    }
    while (count > 0)
        even |= values[--count];
    return even | odd;
}

/* min(max(half-up(x in ppm) + fixed, min), max), for x <= 10^13: all of it fits 64 bits. */
static inline int64_t fee_of(int64_t x, const fee_rule_t *rule) {
    EXPECT(x >= 0 && rule->ppm >= 0 && rule->ppm <= PPM_WHOLE);
    const uint64_t scaled = (uint64_t)x * (uint64_t)rule->ppm + PPM_WHOLE / 2;
    const int64_t raised = (int64_t)(scaled / PPM_WHOLE) + rule->fixed;
    const int64_t least = raised < rule->min ? rule->min : raised;
    return least > rule->max ? rule->max : least;
}

/* The largest a with a + fee(a) <= total, below 0 where there is none. The fee is the middle one of
 * min, max and its proportional part g, so the condition parts into
 * a + max <= total, or both a + min <= total and a + g(a) <= total. */
static inline int64_t amount_for_total_of(int64_t total, const fee_rule_t *rule) {
    const int64_t room = total - rule->fixed;
    const wide_t reach = room < 0 ? 0 : (wide_t)room * PPM_WHOLE + (PPM_WHOLE / 2 - 1);
    const int64_t by_ppm =
        room < 0 ? -1 : (int64_t)(reach / (uint64_t)(PPM_WHOLE + rule->ppm));
    const int64_t by_min = total - rule->min;
    const int64_t by_max = rule->max == INT64_MAX ? -1 : total - rule->max;
    const int64_t lower = by_ppm < by_min ? by_ppm : by_min;
    return lower > by_max ? lower : by_max;
}

/* --- Up to FEW_BOUND weights, products below 2^52: doubles hold them exact. Compiled for the
 * vectors that every x86-64 and ARM64 has, and once more for twice as wide ones, chosen when the
 * module is imported. */

static const double TWO52 = 4503599627370496.0;
#define TWO52_BITS INT64_C(0x4330000000000000)
#define UNROLLED _Pragma("GCC unroll 16")
static const double PLACES[FEW_BOUND] __attribute__((aligned(64))) = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const int64_t LANE_NUMBERS[FEW_BOUND] __attribute__((aligned(64))) = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

#define LANES 2
#define share_few share_few_2
#define share_rows share_rows_2
#define TARGET
#include "_share_few.h"
#undef LANES
#undef share_few
#undef share_rows
#undef TARGET

#if defined(__x86_64__)
#define LANES 4
#define share_few share_few_4
#define share_rows share_rows_4
#define TARGET __attribute__((target("avx2,fma")))
#include "_share_few.h"
#undef LANES
#undef share_few
#undef share_rows
#undef TARGET
#endif

/* --- Any number of weights, any products up to 128 bits. */

/* The `left` largest remainders get a kopeck each, ties to the lower index. Counts the remainders
 * by one byte after another, from the highest, until the lowest that still gets one is known: at
 * most eight passes, whatever the numbers are. Remainders are scaled to fill their 64 bits. */
static void give_left(int64_t left, const uint64_t *remainders, int count, int64_t *shares) {
    uint64_t lowest = 0;
    int64_t ties = left;
    for (int shift = 56;; shift -= 8) {
        int64_t tally[256] = {0};
        int byte = 255;
        for (int i = 0; i < count; i++)
            if (shift == 56 || remainders[i] >> (shift + 8) == lowest)
                tally[(remainders[i] >> shift) & 255]++;
        while (byte > 0 && tally[byte] < ties)
            ties -= tally[byte--];
        lowest = lowest << 8 | (uint64_t)byte;
        if (shift == 0)
            break;
        if (tally[byte] == ties) { /* all of this bucket get one */
            lowest <<= shift;
            ties = count;
            break;
        }
    }
    for (int i = 0; i < count; i++) {
        if (remainders[i] > lowest) {
            shares[i]++;
        } else if (remainders[i] == lowest && ties > 0) {
            shares[i]++;
            ties--;
        }
    }
}

/* The same for a few: each counts those before it, without branches. */
static inline void give_left_few(
    int64_t left, const uint64_t *remainders, int count, int64_t *shares) {
    for (int i = 0; i < count; i++) {
        int64_t rank = 0;
        for (int j = 0; j < i; j++)
            rank += remainders[j] >= remainders[i];
        for (int j = i + 1; j < count; j++)
            rank += remainders[j] > remainders[i];
        shares[i] += rank < left;
    }
}

/* total * weight is up to 128 bits wide; its division by the sum is a multiplication by the sum's
 * reciprocal and at most two corrections (Moeller and Granlund, "Improved division by invariant
 * integers", algorithm 4). */
static void share_wide(
    int64_t total, const int64_t *weights, int count, int64_t sum, int64_t *shares) {
    uint64_t remainders[PARTS_BOUND];
    const int scale = __builtin_clzll((uint64_t)sum);
    const uint64_t divisor = (uint64_t)sum << scale;
    const uint64_t reciprocal = (uint64_t)(~(wide_t)0 / divisor - ((wide_t)1 << 64));
    int64_t left = total;

    EXPECT(count <= PARTS_BOUND && sum > 0 && total >= 0);
    for (int i = 0; i < count; i++) {
        EXPECT(weights[i] >= 0 && weights[i] <= sum);
        const wide_t product = (wide_t)(uint64_t)total * (uint64_t)weights[i] << scale;
        const uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
        const wide_t guess = (wide_t)reciprocal * high + product;
        uint64_t quotient = (uint64_t)(guess >> 64) + 1;
        uint64_t remainder = low - quotient * divisor;
        if (remainder > (uint64_t)guess) {
            quotient--;
            remainder += divisor;
        }
        if (remainder >= divisor) {
            quotient++;
            remainder -= divisor;
        }
        shares[i] = (int64_t)quotient;
        remainders[i] = remainder;
        left -= (int64_t)quotient;
    }
    EXPECT(left >= 0 && left < count);
    if (left == 0)
        return;
    if (count <= 2 * FEW_BOUND)
        give_left_few(left, remainders, count, shares);
    else
        give_left(left, remainders, count, shares);
}

static int vector_lanes = 2; /* numbers of 64 bits in the vectors that share_few uses */

/* Take vectors of as many lanes if the machine has them: how many it is then. */
static inline int choose_lanes(int lanes) {
    vector_lanes = 2;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (lanes >= 4 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        vector_lanes = 4;
#endif
    return vector_lanes;
}

static inline void share_few(
    int64_t total, const int64_t *weights, int count, int64_t sum, int64_t *shares) {
#if defined(__x86_64__)
    if (vector_lanes == 4) {
        share_few_4(total, weights, count, sum, shares);
        return;
    }
#endif
    share_few_2(total, weights, count, sum, shares);
}

static inline int64_t share_rows(
    int64_t rows, int count, const int64_t *amounts, const int64_t *dues, int64_t *shares) {
#if defined(__x86_64__)
    if (vector_lanes == 4)
        return share_rows_4(rows, count, amounts, dues, shares);
#endif
    return share_rows_2(rows, count, amounts, dues, shares);
}

/* Largest remainder. sum > 0 is the sum of the weights; weights and shares do not overlap. */
static inline void share_total(
    int64_t total, const int64_t *weights, int count, int64_t sum, int64_t *shares) {
    uint64_t most;
    const int small = sum < (INT64_C(1) << 47) &&
                      !__builtin_mul_overflow((uint64_t)total, (uint64_t)sum, &most) &&
                      most < (UINT64_C(1) << 52);
    if (total == sum)
        memcpy(shares, weights, sizeof(int64_t) * (size_t)count);
    else if (small && count <= FEW_BOUND)
        share_few(total, weights, count, sum, shares);
    else
        share_wide(total, weights, count, sum, shares);
}

/* Largest remainder over ppm that add up to the whole: 64 bits suffice, the divisor is fixed. */
static inline void share_ppm(int64_t x, const int32_t *ppm, int count, int64_t *shares) {
    uint32_t remainders[32];
    int64_t left = x;

    EXPECT(count >= 1 && count <= 32 && x >= 0);
    for (int i = 0; i < count; i++) {
        const uint64_t product = (uint64_t)x * (uint64_t)ppm[i];
        const uint64_t quotient = product / PPM_WHOLE;
        shares[i] = (int64_t)quotient;
        remainders[i] = (uint32_t)(product - quotient * PPM_WHOLE);
        left -= (int64_t)quotient;
    }
    EXPECT(left >= 0 && left < count);
    for (; left > 0; left--) {
        int largest = 0;
        for (int i = 1; i < count; i++)
            if (remainders[i] > remainders[largest])
                largest = i;
        shares[largest]++;
        remainders[largest] = 0; /* one kopeck each: fewer are left than are above 0 */
    }
}
#endif
