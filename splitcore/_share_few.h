/* The shares of a few weights, in vectors of LANES numbers: included once for each width.
 *
 * `share_few` is a macro that names the function of this width, TARGET what it may be compiled for.
 */
#define JOINED_(name, lanes) name##lanes
#define JOINED(name, lanes) JOINED_(name, lanes)
#define reals_t JOINED(reals_, LANES)
#define words_t JOINED(words_, LANES)
#define ranks_t JOINED(ranks_, LANES)
#define stored_t JOINED(stored_, LANES)
#define share_words JOINED(share_words_, LANES)
#define share_rows_padded JOINED(share_rows_padded_, LANES)

typedef double reals_t __attribute__((vector_size(8 * LANES)));
typedef int64_t words_t __attribute__((vector_size(8 * LANES)));
typedef int64_t stored_t __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
#if LANES == 2 /* the plainest x86-64 compares integers of 32 bits, and no longer ones */
typedef int32_t ranks_t __attribute__((vector_size(8 * LANES)));
#else
typedef int64_t ranks_t __attribute__((vector_size(8 * LANES)));
#endif

/* Between whole numbers and doubles, exact from 0 to 2^52 - 1: once 2^52 is added, such a double's
 * low bits are the number. Macros, as vectors are not returned alike by every compiler. */
#define TO_REALS(words) ((reals_t)((words) | TWO52_BITS) - TWO52)
#define TO_WORDS(reals) ((words_t)((reals) + TWO52) ^ TWO52_BITS)

#if LANES == 2
#define SUM(words) ((words)[0] + (words)[1])
#define BITS(words) ((words)[0] | (words)[1])
#else
#define SUM(words) ((words)[0] + (words)[1] + ((words)[2] + (words)[3]))
#define BITS(words) ((words)[0] | (words)[1] | ((words)[2] | (words)[3]))
#endif

/* Weights to vectors, 0 in the lanes beyond them. A short vector of two takes one weight; one of
 * four is loaded under a mask, which reads nothing beyond the weights. */
#if LANES == 2
#define LOAD(words, weights, count, vectors)                                           \
    UNROLLED for (int v = 0; v < vectors; v++) {                                       \
        if (v * LANES + LANES <= count)                                                \
            words[v] = *(const stored_t *)(weights + v * LANES);                       \
        else                                                                           \
            words[v] = (words_t){v * LANES < count ? weights[v * LANES] : 0, 0};       \
    }
#else
#define LOAD(words, weights, count, vectors)                                           \
    UNROLLED for (int v = 0; v < vectors; v++) {                                       \
        const words_t places = *(const words_t *)(LANE_NUMBERS + v * LANES);           \
        words[v] = (words_t)_mm256_maskload_epi64(                                     \
            (const long long *)weights + v * LANES,                                    \
            (__m256i)(places < (words_t){0} + (int64_t)count));                        \
    }
#endif

#define STORE(words, shares, count, vectors)                                           \
    UNROLLED for (int v = 0; v < vectors; v++) {                                       \
        if (v * LANES + LANES <= count)                                                \
            *(stored_t *)(shares + v * LANES) = words[v];                              \
        else                                                                           \
            UNROLLED for (int lane = 0; lane < LANES - 1; lane++)                      \
                if (v * LANES + lane < count)                                          \
                    shares[v * LANES + lane] = words[v][lane];                         \
    }

/* Weights in, their shares out. total * sum < 2^52 and sum * padded count < 2^52. `vectors` is a
 * constant at every call, so that the loops unroll. A quota rounded to the nearest integer is its
 * floor or one above; a negative remainder tells which. Every remainder becomes a key of its own,
 * remainder first and lower index first, and a weight gets one of the `left` kopecks when fewer
 * than `left` keys are above it. */
TARGET static inline __attribute__((always_inline)) void share_words(
    int64_t total, int64_t sum, words_t *words, const int vectors) {
    const int padded = vectors * LANES;
    const reals_t none = {0};
    const double divisor = (double)sum, inverse = 1.0 / divisor, factor = (double)total;
    reals_t keys[FEW_BOUND / LANES];
    double key[FEW_BOUND];
    words_t given = {0};

    EXPECT(sum > 0);
    UNROLLED for (int v = 0; v < vectors; v++) {
        const reals_t places = *(const reals_t *)(PLACES + v * LANES);
        const reals_t product = TO_REALS(words[v]) * factor;
        reals_t floors = (product * inverse + TWO52) - TWO52;
        reals_t remainders = product - floors * divisor;
        const words_t above = remainders < none;
        floors -= (reals_t)(above & (words_t)(none + 1.0));
        remainders += (reals_t)(above & (words_t)(none + divisor));
        keys[v] = remainders * (double)padded + ((double)(padded - 1) - places);
        words[v] = TO_WORDS(floors);
        given += words[v];
    }
    memcpy(key, keys, sizeof(reals_t) * (size_t)vectors);
    const int64_t left = total - SUM(given);
    EXPECT(left >= 0 && left < padded);
    UNROLLED for (int v = 0; v < vectors; v++) {
        ranks_t rank = {0};
        UNROLLED for (int j = 0; j < padded; j++)
            rank -= (ranks_t)(key[j] > keys[v]);
        words[v] -= (words_t)(rank < ((ranks_t){0} + (__typeof__(rank[0]))left));
    }
}

TARGET static __attribute__((noinline)) void share_few(
    int64_t total, const int64_t *weights, int count, int64_t sum, int64_t *shares) {
    words_t words[FEW_BOUND / LANES];
    EXPECT(count <= FEW_BOUND);
    if (count <= FEW_BOUND / 2) {
        LOAD(words, weights, count, FEW_BOUND / 2 / LANES)
        share_words(total, sum, words, FEW_BOUND / 2 / LANES);
        STORE(words, shares, count, FEW_BOUND / 2 / LANES)
    } else {
        LOAD(words, weights, count, FEW_BOUND / LANES)
        share_words(total, sum, words, FEW_BOUND / LANES);
        STORE(words, shares, count, FEW_BOUND / LANES)
    }
}

/* Payments over bills of one tier, until one that is not plain: how many. Plain is what needs no
 * code: from 1 to what the bill owes, with products as above. Dues below 2^43 are within their
 * limit, their sum is below 2^47, and the amount, being no more than the sum, below 2^26. */
TARGET static inline __attribute__((always_inline)) int64_t share_rows_padded(
    int64_t rows, int count, const int64_t *amounts, const int64_t *dues, int64_t *shares,
    const int vectors) {
    for (int64_t row = 0; row < rows; row++) {
        const int64_t amount = amounts[row];
        words_t words[FEW_BOUND / LANES];
        words_t bits = {0}, sums = {0}, given = {0};
        LOAD(words, (dues + row * count), count, vectors)
        UNROLLED for (int v = 0; v < vectors; v++)
            bits |= words[v];
        if ((uint64_t)BITS(bits) >= UINT64_C(1) << 43)
            return row;
        UNROLLED for (int v = 0; v < vectors; v++)
            sums += words[v];
        const int64_t sum = SUM(sums);
        uint64_t most;
        if (amount < 1 || amount > sum ||
            __builtin_mul_overflow((uint64_t)amount, (uint64_t)sum, &most) ||
            most >= UINT64_C(1) << 52)
            return row;
        share_words(amount, sum, words, vectors);
        UNROLLED for (int v = 0; v < vectors; v++)
            given += words[v];
        if (SUM(given) != amount) /* a defect, which the caller's own way will tell */
            return row;
        STORE(words, (shares + row * count), count, vectors)
        EXPECT(sum_of(shares + row * count, count) == amount);
    }
    return rows;
}

TARGET static int64_t share_rows(
    int64_t rows, int count, const int64_t *amounts, const int64_t *dues, int64_t *shares) {
    EXPECT(count <= FEW_BOUND);
    if (count <= FEW_BOUND / 2)
        return share_rows_padded(rows, count, amounts, dues, shares, FEW_BOUND / 2 / LANES);
    return share_rows_padded(rows, count, amounts, dues, shares, FEW_BOUND / LANES);
}

#undef JOINED_
#undef JOINED
#undef reals_t
#undef words_t
#undef ranks_t
#undef stored_t
#undef share_words
#undef share_rows_padded
#undef SUM
#undef BITS
#undef LOAD
#undef STORE
#undef TO_REALS
#undef TO_WORDS
