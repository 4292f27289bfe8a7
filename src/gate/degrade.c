/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/gate.h"

#include <assert.h>
#include <math.h>

enum { RADIUS = 5, TAPS = 2 * RADIUS + 1 };

/* exp(-x), x >= 0, without libm: its last bit is a matter of the machine. Relative error below 1e-13 for x up to 100. */
static double exp_minus(double x)
{
    if (x > 100)
        return 0; /* beside a tap of 1 */
    const double y = -x / 256;
    double term = 1, sum = 1;
    for (int k = 1; k <= 12; k++) {
        term = term * y / k;
        sum += term;
    }
    for (int k = 0; k < 8; k++)
        sum *= sum;
    return sum;
}

static int clamp(int v, int lo, int hi) { return v < lo ? lo : v > hi ? hi : v; }

void vd_gauss_taps(double *tap, int radius, double sigma)
{
    const int taps = 2 * radius + 1;
    double sum = 0;
    for (int i = 0; i < taps; i++) {
        const double d = i - radius;
        sum += tap[i] = exp_minus(d * d / (2 * sigma * sigma));
    }
    for (int i = 0; i < taps; i++)
        tap[i] /= sum;
}

void vd_blur(float *dst, const float *src, int w, int h, double sigma, float *scratch)
{
    double tap[TAPS];
    vd_gauss_taps(tap, RADIUS, sigma);

    for (int y = 0; y < h; y++) {
        const float *s = src + (size_t)y * (size_t)w;
        for (int x = 0; x < w; x++) {
            double v = 0;
            for (int i = 0; i < TAPS; i++)
                v += tap[i] * (double)s[clamp(x + i - RADIUS, 0, w - 1)];
            scratch[(size_t)y * (size_t)w + (size_t)x] = (float)v;
        }
    }
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double v = 0;
            for (int i = 0; i < TAPS; i++)
                v += tap[i] * (double)scratch[(size_t)clamp(y + i - RADIUS, 0, h - 1) * (size_t)w + (size_t)x];
            dst[(size_t)y * (size_t)w + (size_t)x] = (float)v;
        }
}

/* ITU-T T.81, table K.1, row by row. */
static const uint8_t luminance[64] = {
    16, 11, 10, 16,  24,  40,  51,  61,  12, 12, 14, 19,  26,  58,  60,  55,
    14, 13, 16, 24,  40,  57,  69,  56,  14, 17, 22, 29,  51,  87,  80,  62,
    18, 22, 37, 56,  68, 109, 103,  77,  24, 35, 55, 64,  81, 104, 113,  92,
    49, 64, 78, 87, 103, 121, 120, 101,  72, 92, 95, 98, 112, 100, 103,  99,
};

/* Row u of the orthonormal 8-point DCT-II: cos((2 x + 1) u pi / 16) / 2, over sqrt 2 for u = 0. Cosines as literals, so that
 * no libm is asked. */
static void dct_matrix(double m[8][8])
{
    static const double cosine[9] = { /* of k pi / 16 */
        1, 0.98078528040323043, 0.92387953251128674, 0.83146961230254524, 0.70710678118654752, 0.55557023301960223,
        0.38268343236508977, 0.19509032201612827, 0,
    };
    for (int u = 0; u < 8; u++)
        for (int x = 0; x < 8; x++) {
            int k = (2 * x + 1) * u % 32; /* cos has a period of 32 sixteenths of pi, is even, and odd about 8 */
            if (k > 16)
                k = 32 - k;
            const double c = k > 8 ? -cosine[16 - k] : cosine[k];
            m[u][x] = u ? c / 2 : cosine[4] / 2;
        }
}

static void transform(double dst[8][8], const double m[8][8], const double src[8][8], bool inverse)
{
    double half[8][8];
    for (int i = 0; i < 8; i++) /* rows */
        for (int j = 0; j < 8; j++) {
            double v = 0;
            for (int k = 0; k < 8; k++)
                v += src[i][k] * (inverse ? m[k][j] : m[j][k]);
            half[i][j] = v;
        }
    for (int i = 0; i < 8; i++) /* columns */
        for (int j = 0; j < 8; j++) {
            double v = 0;
            for (int k = 0; k < 8; k++)
                v += half[k][j] * (inverse ? m[k][i] : m[i][k]);
            dst[i][j] = v;
        }
}

/* Ties are common, since samples and steps are whole numbers: off with the noise of the sums, so that they are seen. */
static double tidy(double v) { return rint(v * 1048576) / 1048576; }

void vd_jpeg_loss(float *dst, const float *src, int w, int h, int quality)
{
    assert(quality >= 1 && quality <= 100);
    const int percent = quality < 50 ? 5000 / quality : 200 - 2 * quality;
    double m[8][8], step[8][8], p[8][8], f[8][8];
    dct_matrix(m);
    for (int i = 0; i < 64; i++)
        step[i / 8][i % 8] = clamp((luminance[i] * percent + 50) / 100, 1, 255);

    for (int by = 0; by < h; by += 8)
        for (int bx = 0; bx < w; bx += 8) {
            for (int i = 0; i < 8; i++) /* past the edge: the last sample again, as libjpeg does */
                for (int j = 0; j < 8; j++) {
                    const int y = clamp(by + i, 0, h - 1), x = clamp(bx + j, 0, w - 1);
                    const double v = rint((double)src[(size_t)y * (size_t)w + (size_t)x] * 255);
                    p[i][j] = fmax(0, fmin(255, v)) - 128;
                }
            transform(f, m, p, false);
            for (int i = 0; i < 8; i++)
                for (int j = 0; j < 8; j++) { /* to the nearest step, halves away from zero */
                    const double q = floor(fabs(tidy(f[i][j])) / step[i][j] + 0.5) * step[i][j];
                    f[i][j] = f[i][j] < 0 ? -q : q;
                }
            transform(p, m, f, true);
            for (int i = 0; i < 8 && by + i < h; i++)
                for (int j = 0; j < 8 && bx + j < w; j++) {
                    const double v = fmax(0, fmin(255, floor(tidy(p[i][j]) + 128.5)));
                    dst[(size_t)(by + i) * (size_t)w + (size_t)(bx + j)] = (float)v / 255;
                }
        }
}
