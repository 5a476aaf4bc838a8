"""Measures one of Python's pools, two workers, and prints its rows as JSON: `measure.py PEER`.

Times are in seconds; a figure is the median of several samples, and a sample of short things is the mean of many.
"""

import concurrent.futures
import json
import multiprocessing
import statistics
import sys
import time

import tasks

WORKERS = 2
SUBMITS = 10_000
ITEMS = 1_000_000
CHUNKS = (1_000, 10_000, 100_000)
IDLE = 0.002
MIB = 1 << 20


class Pool:
    """multiprocessing.Pool."""

    def __init__(self, method):
        self.pool = multiprocessing.get_context(method).Pool(WORKERS)

    def apply(self, function, argument):
        return self.pool.apply(function, (argument,))

    def submit_all(self, function, items):
        handles = [self.pool.apply_async(function, (item,)) for item in items]
        return [handle.get() for handle in handles]

    def map(self, function, items, chunk):
        return self.pool.map(function, items, chunk)

    def end(self):
        self.pool.terminate()
        self.pool.join()


class Executor:
    """Whatever has the face of concurrent.futures."""

    def __init__(self, executor):
        self.executor = executor

    def apply(self, function, argument):
        return self.executor.submit(function, argument).result()

    def submit_all(self, function, items):
        futures = [self.executor.submit(function, item) for item in items]
        return [future.result() for future in futures]

    def map(self, function, items, chunk):
        return list(self.executor.map(function, items, chunksize=chunk or 1))

    def end(self):
        self.executor.shutdown(wait=True)


def futures():
    context = multiprocessing.get_context("fork")
    return Executor(concurrent.futures.ProcessPoolExecutor(WORKERS, context))


def loky():
    from loky import ProcessPoolExecutor

    return Executor(ProcessPoolExecutor(WORKERS, timeout=None))


def mpi():
    from mpi4py.futures import MPIPoolExecutor

    return Executor(MPIPoolExecutor(WORKERS))


PEERS = {
    "fork": lambda: Pool("fork"),
    "spawn": lambda: Pool("spawn"),
    "futures": futures,
    "loky": loky,
    "mpi4py": mpi,
}


def timed(run):
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def samples(run, number, times):
    """The median of so many samples, each the mean of so many runs."""
    return statistics.median(timed(lambda: [run() for _ in range(times)]) / times for _ in range(number))


def start(make_pool):
    def once():
        begin = time.perf_counter()
        pool = make_pool()
        assert pool.apply(tasks.step, 41) == 42
        took = time.perf_counter() - begin
        pool.end()
        return took

    return statistics.median(once() for _ in range(5))


def asleep(pool):
    def once():
        time.sleep(IDLE)
        return timed(lambda: pool.apply(tasks.step, 41))

    return statistics.median(statistics.fmean(once() for _ in range(10)) for _ in range(20))


def per_item(run, most):
    """Seconds per item, for as many items as take a while, and no more."""
    count = 1_000
    while True:
        items = list(range(count))
        assert run(items) == list(range(1, count + 1))
        if count >= most or timed(lambda: run(items)) > 0.1:
            return samples(lambda: run(items), 3, 1) / count
        count *= 10


def payloads(pool):
    values = tasks.make(0.5)
    assert pool.apply(tasks.take, values) == 0.5
    assert (pool.apply(tasks.make, 0.5) == values).all()
    assert (pool.apply(tasks.give_back, values) == values).all()
    yield "payload_8MiB/ndarray_in", samples(lambda: pool.apply(tasks.take, values), 10, 1) / (8 * MIB)
    yield "payload_8MiB/ndarray_out", samples(lambda: pool.apply(tasks.make, 0.5), 10, 1) / (8 * MIB)
    yield "payload_8MiB/ndarray_both", samples(lambda: pool.apply(tasks.give_back, values), 10, 1) / (16 * MIB)


def rows(peer):
    make_pool = PEERS[peer]
    if peer != "mpi4py":  # its workers are there before the program begins
        yield "pool_start", start(make_pool)
    pool = make_pool()
    assert pool.apply(tasks.step, 41) == 42
    yield "round_trip/hot", samples(lambda: pool.apply(tasks.step, 41), 20, 100)
    yield "round_trip/asleep", asleep(pool)
    yield "submit_pipelined", per_item(lambda items: pool.submit_all(tasks.step, items), SUBMITS)
    yield "map_u64", per_item(lambda items: pool.map(tasks.step, items, None), ITEMS)
    chunked = (per_item(lambda items, chunk=chunk: pool.map(tasks.step, items, chunk), ITEMS) for chunk in CHUNKS)
    yield "map_u64, best of three chunk sizes", min(chunked)
    yield from payloads(pool)
    pool.end()


if __name__ == "__main__":
    print(json.dumps(dict(rows(sys.argv[1]))))
