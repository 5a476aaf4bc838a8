"""What the workers run. numpy is imported only where it is needed, so that pools start as fast as they can."""


def step(x):
    return x + 1


def take(values):
    return float(values[-1, -1])


def make(x):
    import numpy

    return numpy.full((1024, 1024), x)


def give_back(values):
    return values
