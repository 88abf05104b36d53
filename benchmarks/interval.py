"""The one statistic of the benchmarks that compare round by round."""

from __future__ import annotations

import math
import statistics


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """(low, median, high): median and its 95 % interval by ranks, the binomial's normal approximation.

    Conover, Practical Nonparametric Statistics, 3rd edition, section 3.2. Of fewer than six values it is
    their range, and less sure than that.
    """
    values, count = sorted(values), len(values)
    reach = 0.98 * math.sqrt(count)  # 1.96 deviations of a binomial of one half
    low, high = math.ceil(count / 2 - reach) - 1, math.ceil(count / 2 + reach) - 1
    return values[max(0, low)], statistics.median(values), values[min(count - 1, high)]
