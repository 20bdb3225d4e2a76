"""One ElasticNet per prefix of a series, as the inside of a Spark UDF does it: for each prefix fit a
model and predict the next value. First as a plain loop, then as one task per prefix; the results must
be equal. The series are the ten baseline measures of scikit-learn's diabetes patients, in order.

    python examples/prefix_fit.py [--series 10] [--length 440]
"""

from __future__ import annotations

import argparse
import os
import time

import eagleray as ray
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet

LAGS = 8


def predict_next(series, end):
    """Fits on series[:end] by its last LAGS values, predicts series[end]."""
    prefix = series[:end]
    rows = np.lib.stride_tricks.sliding_window_view(prefix, LAGS + 1)
    model = ElasticNet(alpha=1e-4, max_iter=5000)
    model.fit(rows[:, :-1], rows[:, -1])
    return float(model.predict(prefix[-LAGS:].reshape(1, -1))[0])


@ray.remote
def predict_next_task(series, end):
    return predict_next(series, end)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=10)
    parser.add_argument("--length", type=int, default=440)
    options = parser.parse_args()
    data = load_diabetes().data[: options.length]
    all_series = [np.ascontiguousarray(data[:, i]) for i in range(options.series)]
    ends = range(2 * LAGS, options.length)

    start = time.perf_counter()
    plain = [[predict_next(series, end) for end in ends] for series in all_series]
    plain_seconds = time.perf_counter() - start

    with ray.init():
        cpus = int(ray.cluster_resources()["CPU"])
        ray.get([predict_next_task.remote(all_series[0], 2 * LAGS) for _ in range(cpus)])
        start = time.perf_counter()
        refs = []
        for series in all_series:
            kept = ray.put(series)
            refs.append([predict_next_task.remote(kept, end) for end in ends])
        spread = []
        for number, each in enumerate(refs, 1):
            spread.append(ray.get(each))
            print(f"series {number}/{len(refs)}: {len(each)} prefixes predicted", flush=True)
        seconds = time.perf_counter() - start
    if spread != plain:
        raise SystemExit("the tasks gave other results than the loop")
    print(
        f"plain loop: {plain_seconds:.2f} s   tasks: {seconds:.2f} s   "
        f"speed-up: {plain_seconds / seconds:.2f}x on {os.cpu_count()} cores, equal results"
    )


if __name__ == "__main__":
    main()
