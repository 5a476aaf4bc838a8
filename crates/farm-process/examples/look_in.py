"""Looks into an array of another program, whenever a line on standard input asks for it."""

import sys

import numpy

plate = eval(sys.argv[1])  # numpy.memmap(...)
print(plate.shape, plate.dtype, flush=True)
for _ in sys.stdin:
    print(plate.sum(), plate.mean(), flush=True)
