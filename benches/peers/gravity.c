// The accelerations of n bodies by the plain double loop: what a C compiler makes of it.
//
// gravity N SECONDS: repeats the evaluation for about so long, prints the seconds of the fastest and of the median one.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static double uniform(unsigned long long *state) {
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (*state >> 11) * 0x1p-53;
}

static void accelerations(int n, const double *restrict x, const double *restrict y, const double *restrict z,
                          const double *restrict gm, double *restrict ax, double *restrict ay, double *restrict az) {
    for (int i = 0; i < n; i++) {
        double sx = 0, sy = 0, sz = 0;
        int ends[3] = {0, i, n}, starts[2] = {0, i + 1};
        for (int part = 0; part < 2; part++) {
            for (int j = starts[part]; j < ends[part + 1]; j++) {
                double dx = x[j] - x[i], dy = y[j] - y[i], dz = z[j] - z[i];
                double r2 = dx * dx + dy * dy + dz * dz;
                double s = gm[j] / (r2 * sqrt(r2));
                sx += s * dx;
                sy += s * dy;
                sz += s * dz;
            }
        }
        ax[i] = sx;
        ay[i] = sy;
        az[i] = sz;
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int n = atoi(argv[1]);
    double seconds = atof(argv[2]);
    double *room = aligned_alloc(64, ((size_t)n * 7 * sizeof(double) + 63) / 64 * 64), *part[7];
    for (int k = 0; k < 7; k++) part[k] = room + (size_t)k * n;
    unsigned long long state = 1;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < 3; k++) part[k][i] = 6 * uniform(&state) - 3;
        part[3][i] = 1e-6 * uniform(&state);
    }
    enum { MOST = 100000 };
    double *times = malloc(MOST * sizeof(double)), sum = 0;
    int count = 0;
    for (double end = now() + seconds; count < 3 || (count < MOST && now() < end); count++) {
        double before = now();
        accelerations(n, part[0], part[1], part[2], part[3], part[4], part[5], part[6]);
        times[count] = now() - before;
        part[0][0] += 1e-12;
        sum += part[4][n / 2];
    }
    qsort(times, count, sizeof(double), ascending);
    printf("{\"best\": %.9g, \"median\": %.9g, \"sum\": %.17g}\n", times[0], times[count / 2], sum);
}
