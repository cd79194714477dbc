/* The splitting rule as a C programmer writes it down: one tier, no second level, no fees.
 *
 * What the kernel is measured against, so it is straightforward and not slow: built with -O3, no
 * checks of its input, division in 64 bits wherever the products fit them.
 */
#include <stdint.h>
#include <string.h>

#define CHARGES_MAX 256

/* Floors of total * weight / sum; the kopecks left go one each to the largest remainders, ties to
 * the lower index. */
static void largest_remainder(
    int64_t total, const int64_t *weights, int count, int64_t sum, int64_t *shares) {
    int64_t remainders[CHARGES_MAX];
    int64_t left = total;
    if ((unsigned __int128)total * (unsigned __int128)sum < (unsigned __int128)INT64_MAX) {
        for (int i = 0; i < count; i++) {
            const uint64_t product = (uint64_t)total * (uint64_t)weights[i];
            shares[i] = (int64_t)(product / (uint64_t)sum);
            remainders[i] = (int64_t)(product % (uint64_t)sum);
            left -= shares[i];
        }
    } else {
        for (int i = 0; i < count; i++) {
            const unsigned __int128 product = (unsigned __int128)total * (uint64_t)weights[i];
            shares[i] = (int64_t)(product / (uint64_t)sum);
            remainders[i] = (int64_t)(product % (uint64_t)sum);
            left -= shares[i];
        }
    }
    for (; left > 0; left--) {
        int largest = 0;
        for (int i = 1; i < count; i++)
            if (remainders[i] > remainders[largest])
                largest = i;
        shares[largest]++;
        remainders[largest] = -1;
    }
}

/* Payment k of amounts[k] kopecks over the dues k * count .. (k + 1) * count: what each charge
 * receives stands at the same places of `shares`. An overpayment goes in proportion to the dues. */
void plain_split(
    int64_t payments, int count, const int64_t *amounts, const int64_t *dues, int64_t *shares) {
    for (int64_t k = 0; k < payments; k++) {
        const int64_t *due = dues + k * count;
        int64_t *share = shares + k * count;
        int64_t sum = 0;
        for (int i = 0; i < count; i++)
            sum += due[i];
        if (amounts[k] < sum) {
            largest_remainder(amounts[k], due, count, sum, share);
        } else if (amounts[k] == sum) {
            memcpy(share, due, sizeof(int64_t) * (size_t)count);
        } else {
            largest_remainder(amounts[k] - sum, due, count, sum, share);
            for (int i = 0; i < count; i++)
                share[i] += due[i];
        }
    }
}
