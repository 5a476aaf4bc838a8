"""The two kernels in Python, timed: `kernels.py gravity|plate numpy|numba|rebound N SECONDS`.

Prints the seconds of an evaluation, or of a sweep, in the fastest and in the median round, as JSON.
"""

import json
import sys
import time


def bodies(n):
    import numpy

    draw = numpy.random.default_rng(1).random
    return 6 * draw((n, 3)) - 3, 1e-6 * draw(n)


def gravity_numpy(n):
    import numpy

    places, gm = bodies(n)
    x, y, z = (column.copy() for column in places.T)

    def evaluate():
        pulls = numpy.empty_like(places)
        for i in range(n):
            dx, dy, dz = x - x[i], y - y[i], z - z[i]
            r2 = dx * dx + dy * dy + dz * dz
            r2[i] = 1
            s = gm / (r2 * numpy.sqrt(r2))
            pulls[i] = s @ dx, s @ dy, s @ dz
        return pulls

    return evaluate


def gravity_numba(n):
    import numba
    import numpy

    places, gm = bodies(n)

    @numba.njit(fastmath=True)
    def accelerations(places, gm, pulls):
        for i in range(len(gm)):
            x, y, z = 0.0, 0.0, 0.0
            for j in range(len(gm)):
                if j != i:
                    dx = places[j, 0] - places[i, 0]
                    dy = places[j, 1] - places[i, 1]
                    dz = places[j, 2] - places[i, 2]
                    r2 = dx * dx + dy * dy + dz * dz
                    s = gm[j] / (r2 * numpy.sqrt(r2))
                    x += s * dx
                    y += s * dy
                    z += s * dz
            pulls[i, 0], pulls[i, 1], pulls[i, 2] = x, y, z

    pulls = numpy.empty_like(places)
    return lambda: accelerations(places, gm, pulls)


def gravity_rebound(n):
    import rebound

    places, gm = bodies(n)
    simulation = rebound.Simulation()
    simulation.integrator = "leapfrog"  # one evaluation a step
    simulation.dt = 1e-12
    for (x, y, z), m in zip(places, gm):
        simulation.add(m=m, x=x, y=y, z=z)
    simulation.steps(1)
    return lambda: simulation.steps(1)


def plate(n):
    import numpy

    old = numpy.zeros((n + 2, n + 2))
    old[-1] = 100
    return old, old.copy()


def plate_numpy(n):
    import numpy

    arrays = list(plate(n))

    def sweep():
        old, new = arrays
        inner = new[1:-1, 1:-1]
        numpy.add(old[1:-1, :-2], old[1:-1, 2:], out=inner)
        inner += old[:-2, 1:-1]
        inner += old[2:, 1:-1]
        inner *= 0.25
        arrays.reverse()

    return sweep


def plate_numba(n):
    import numba

    arrays = list(plate(n))

    @numba.njit(parallel=True, fastmath=True)
    def sweep_all(old, new):
        for j in numba.prange(1, old.shape[0] - 1):
            for i in range(1, old.shape[1] - 1):
                new[j, i] = 0.25 * (old[j, i - 1] + old[j, i + 1] + old[j - 1, i] + old[j + 1, i])

    def sweep():
        sweep_all(*arrays)
        arrays.reverse()

    return sweep


def main():
    kernel, peer, n, seconds = sys.argv[1:]
    work = globals()[f"{kernel}_{peer}"](int(n))
    work()  # compiles
    times = []
    end = time.perf_counter() + float(seconds)
    while len(times) < 3 or time.perf_counter() < end:
        before = time.perf_counter()
        work()
        times.append(time.perf_counter() - before)
    times.sort()
    print(json.dumps({"best": times[0], "median": times[len(times) // 2]}))


main()
