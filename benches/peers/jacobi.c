// Jacobi sweeps of a plate of n x n cells with the norms of the update, by the plain loop: what a C compiler makes of it.
//
// jacobi N SECONDS: repeats rounds of sweeps for about so long, prints the seconds of a sweep in the fastest and in the
// median round. OMP_NUM_THREADS says on how many threads.

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUND = 32, MOST = 10000 };

static double sweep(int n, const double *restrict old, double *restrict new, double *largest) {
    size_t width = n + 2;
    double sum = 0, most = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum) reduction(max : most)
    for (int j = 1; j <= n; j++) {
        const double *row = old + j * width, *below = row - width, *above = row + width;
        double *out = new + j * width;
#pragma omp simd reduction(+ : sum) reduction(max : most)
        for (int i = 1; i <= n; i++) {
            double mean = 0.25 * ((row[i - 1] + row[i + 1]) + (below[i] + above[i]));
            double u = mean - row[i];
            out[i] = mean;
            sum += u * u;
            most = fabs(u) > most ? fabs(u) : most;
        }
    }
    *largest = most;
    return sqrt(sum);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int n = atoi(argv[1]);
    double seconds = atof(argv[2]);
    size_t width = n + 2;
    double *old = malloc(width * width * sizeof(double)), *new = malloc(width * width * sizeof(double));
    // Each thread touches first what it sweeps later.
#pragma omp parallel for schedule(static)
    for (size_t j = 0; j < width; j++)
        for (size_t i = 0; i < width; i++) old[j * width + i] = new[j * width + i] = j == width - 1 ? 100 : 0;
    double *times = malloc(MOST * sizeof(double)), l2 = 0, most = 0;
    int count = 0;
    for (double end = omp_get_wtime() + seconds; count < 2 || (count < MOST && omp_get_wtime() < end); count++) {
        double before = omp_get_wtime();
        for (int s = 0; s < ROUND; s++) {
            l2 = sweep(n, old, new, &most);
            double *t = old;
            old = new;
            new = t;
        }
        times[count] = (omp_get_wtime() - before) / ROUND;
    }
    qsort(times, count, sizeof(double), ascending);
    printf("{\"best\": %.9g, \"median\": %.9g, \"l2\": %.17g}\n", times[0], times[count / 2], l2);
}
