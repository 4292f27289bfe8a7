/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/gate.h"

#include <assert.h>

/* Everything is drawn in whole numbers, on a grid of SUB x SUB points a pixel whose mean is the pixel: edges are as sharp as
 * a camera's that sees more than it stores. Levels are 0..LEVEL. Lengths below are in points unless they say pixels. */
enum { SUB = 4, LEVEL = 65535, MAX_SHAPES = 24 };

/* One picture: a ground that slopes, shapes on it, lines of text over it, and texture in grey levels on top. */
struct recipe {
    const char *name;
    uint32_t seed;
    int lo, hi;       /* grey levels that 0 and LEVEL become */
    int slope;        /* how much of the range the ground takes, percent */
    int shapes, size; /* size: pixels of the largest, as a share of the smaller side, percent */
    int striped;      /* percent of the shapes */
    int texture;      /* deviation in 1/16 grey level, about */
    int roughness;    /* row of octave_weight */
    int text;         /* rows of text in percent of the height, from the bottom */
    int ink;          /* its level, percent */
};

static const struct recipe recipes[VD_PICTURES] = {
    /*  seed    lo   hi slope shapes size striped texture rough text ink */
    {"gradients", 0x1a2b01,   0, 255,  90,     3,  70,      0,      0,    0,   0,   0}, /* gradients, a few large edges */
    {"edges", 0x1a2b02,  16, 235,  20,    20,  60,      0,      0,    0,   0,   0}, /* edges of every angle */
    {"texture", 0x1a2b03,  30, 220,  40,     0,   0,      0,    300,    0,   0,   0}, /* texture that falls with frequency */
    {"gravel", 0x1a2b04,  60, 190,  60,     0,   0,      0,    200,    1,   0,   0}, /* rougher: grass, gravel */
    {"print", 0x1a2b05,  12, 400,   4,     0,   0,      0,      6,    2, 100,   5}, /* print */
    {"titles", 0x1a2b06,  16, 235,  30,     6,  80,      0,     12,    1,  55,  96}, /* titles over a dark scene */
    {"houses", 0x1a2b07,  20, 250,  70,    14,  40,     50,     60,    1,   0,   0}, /* houses and fences */
    {"night", 0x1a2b08,  14,  70,  60,     8,  60,     20,     24,    1,   0,   0}, /* night */
    {"stripes", 0x1a2b09,  16, 235,  30,    16,  50,    100,      0,    0,   0,   0}, /* stripes of every angle and width */
    {"haze", 0x1a2b0a, 120, 240,  70,     8,  90,      0,     20,    2,   0,   0}, /* bright, soft, a little grain */
    {"mixture", 0x1a2b0b,  10, 250,  60,    10,  60,     30,    120,    1,  30,  90}, /* of everything */
    {"caption", 0x1a2b0c,  16, 235,  80,    24,  30,     20,     80,    0,  12,   4}, /* of everything, smaller, with a caption */
};

/* A hash whose every output bit depends on every input bit. */
static uint32_t mix(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    return x ^ (x >> 16);
}

static uint32_t mix3(uint32_t seed, int x, int y) { return mix(mix(mix(seed) ^ (uint32_t)x) ^ (uint32_t)y); }

/* 0..n-1, n under 2^16: item k of a picture's numbers */
static int pick(uint32_t seed, int k, int n) { return (int)((mix3(seed, k, -1) >> 16) * (uint32_t)n >> 16); }

/* --- texture */

enum { OCTAVES = 7 };
/* Cells of 1, 2, 4, ... pixels, in 1/256. Photographs have about the same energy in every octave (row 1). */
static const int octave_weight[3][OCTAVES] = {
    {10, 26, 48, 72, 96, 110, 120},
    {40, 70, 80, 80, 80, 80, 80},
    {90, 100, 90, 60, 40, 30, 20},
};

/* Value noise: hashed numbers -2048..2047 on a lattice of 1 << shift pixels, joined smoothly. */
static int noise(uint32_t seed, int x, int y, int shift)
{
    const int gx = x >> shift, gy = y >> shift, size = 1 << shift;
    int v[4], tx = (x & (size - 1)) * 4096 / size, ty = (y & (size - 1)) * 4096 / size;
    for (int i = 0; i < 4; i++)
        v[i] = (int)(mix3(seed, gx + (i & 1), gy + (i >> 1)) >> 20) - 2048;
    tx = tx * tx / 4096 * (3 * 4096 - 2 * tx) / 4096; /* 3 t^2 - 2 t^3 */
    ty = ty * ty / 4096 * (3 * 4096 - 2 * ty) / 4096;
    const int top = v[0] + (v[1] - v[0]) * tx / 4096, bottom = v[2] + (v[3] - v[2]) * tx / 4096;
    return top + (bottom - top) * ty / 4096;
}

/* In 1/4096 grey level, from the 1/16 of the recipe: noise has a deviation of about 1024, and the weights a norm of about 200. */
static int texture(const struct recipe *r, int x, int y)
{
    if (!r->texture)
        return 0;
    int sum = 0;
    for (int s = 0; s < OCTAVES; s++)
        sum += octave_weight[r->roughness][s] * noise(r->seed + 77U * (uint32_t)s, x, y, s) / 256;
    return sum * r->texture / 4; /* |sum| < 4096, texture at most 300 */
}

/* --- shapes */

struct shape {
    int disc;         /* else a turned rectangle */
    int64_t cx, cy, a, b; /* middle; radius, or half the sides */
    int u, v, norm;   /* direction of side a: u^2 + v^2 = norm^2 */
    int level, other; /* other: of the second stripe */
    int period;       /* of stripes along u, v; 0: plain */
};

static void draw_shapes(struct shape *s, const struct recipe *r, int w, int h)
{
    static const int triple[10][3] = {{1, 0, 1}, {4, 3, 5}, {12, 5, 13}, {15, 8, 17}, {24, 7, 25},
                                      {21, 20, 29}, {35, 12, 37}, {40, 9, 41}, {0, 1, 1}, {3, 4, 5}};
    const int side = (w < h ? w : h) * SUB;
    for (int i = 0; i < r->shapes; i++, s++) {
        const uint32_t seed = r->seed * 31 + (uint32_t)i;
        const int largest = side * r->size / 200 + SUB, *t = triple[pick(seed, 0, 10)];
        s->disc = pick(seed, 1, 3) == 0;
        s->cx = (int64_t)w * SUB * pick(seed, 2, 1024) / 1024;
        s->cy = (int64_t)h * SUB * pick(seed, 3, 1024) / 1024;
        s->a = largest / 6 + (int64_t)largest * pick(seed, 4, 1024) / 1024;
        s->b = SUB / 2 + (int64_t)largest * pick(seed, 5, 1024) / 1024 / (1 + pick(seed, 6, 4));
        s->u = t[0];
        s->v = pick(seed, 7, 2) ? t[1] : -t[1];
        s->norm = t[2];
        s->level = pick(seed, 8, LEVEL);
        s->other = pick(seed, 9, LEVEL);
        s->period = pick(seed, 10, 100) < r->striped ? SUB * 2 + pick(seed, 11, SUB * 14) : 0;
    }
}

/* The level of shape s at a point, or -1 outside. */
static int shape_level(const struct shape *s, int64_t x, int64_t y)
{
    const int64_t dx = x - s->cx, dy = y - s->cy, along = s->u * dx + s->v * dy, across = s->u * dy - s->v * dx;
    if (s->disc ? dx * dx + dy * dy > s->a * s->a
                : along > s->a * s->norm || -along > s->a * s->norm || across > s->b * s->norm || -across > s->b * s->norm)
        return -1;
    if (!s->period)
        return s->level;
    const int64_t period = (int64_t)s->period * s->norm, phase = (along % period + period) % period;
    return 2 * phase < period ? s->level : s->other;
}

/* --- text: letters of 5 x 7 in cells of 6 x 10, each row of lines in its own size */

static const uint8_t letter[16][7] = {
    {14, 17, 17, 31, 17, 17, 17}, {31, 16, 16, 30, 16, 16, 31}, {17, 17, 17, 31, 17, 17, 17}, {14, 4, 4, 4, 4, 4, 14},
    {17, 18, 20, 24, 20, 18, 17}, {16, 16, 16, 16, 16, 16, 31}, {17, 27, 21, 21, 17, 17, 17}, {17, 25, 21, 19, 17, 17, 17},
    {14, 17, 17, 17, 17, 17, 14}, {30, 17, 17, 30, 20, 18, 17}, {15, 16, 16, 14, 1, 1, 30},   {31, 4, 4, 4, 4, 4, 4},
    {17, 17, 17, 17, 17, 10, 4},  {17, 10, 4, 4, 4, 10, 17},    {30, 1, 1, 14, 1, 1, 30},     {14, 17, 1, 6, 8, 16, 31},
};

/* Where the lines of text are: top of each, and points of one dot. */
struct line { int top, dot; };
enum { MAX_LINES = 512 };

static int set_lines(struct line *l, const struct recipe *r, int h)
{
    int n = 0;
    for (int y = h * SUB - h * SUB / 100 * r->text; y < h * SUB && n < MAX_LINES && r->text; n++) {
        const int dot = SUB + pick(r->seed, 100 + n, 2 * SUB + 1);
        l[n] = (struct line){y, dot};
        y += 10 * dot;
    }
    return n;
}

static bool is_ink(uint32_t seed, const struct line *l, int n, int x, int y)
{
    const int row = (y - l->top) / l->dot, cell = x / (6 * l->dot), column = x / l->dot % 6;
    const uint32_t which = mix3(seed, cell, n + 1000);
    if (row > 6 || column > 4 || (which >> 8) % 6 == 0) /* between lines, between letters, between words */
        return false;
    return letter[which & 15][row] >> (4 - column) & 1;
}

/* --- the whole */

static int ground(const struct recipe *r, int64_t x, int64_t y, int64_t w, int64_t h)
{
    int c[4];
    for (int i = 0; i < 4; i++) /* the corners, about the middle */
        c[i] = LEVEL / 2 + (pick(r->seed, 20 + i, LEVEL) - LEVEL / 2) * r->slope / 100;
    const int64_t top = c[0] * (w - x) + c[1] * x, bottom = c[2] * (w - x) + c[3] * x;
    return (int)((top * (h - y) + bottom * y) / (w * h));
}

const char *vd_picture_name(int i) { return recipes[i % VD_PICTURES].name; }

/* From the thirteenth on: one of the kinds with other numbers. Levels and amounts change too, within what the kind is. */
static struct recipe vary(int i)
{
    struct recipe r = recipes[i % VD_PICTURES];
    if (i < VD_PICTURES)
        return r;
    r.seed = mix(r.seed + 0x9e3779b9U * (uint32_t)(i / VD_PICTURES));
    r.lo += pick(r.seed, 200, 17) - 8;
    r.hi += pick(r.seed, 201, 31) - 15;
    r.slope = r.slope * (70 + pick(r.seed, 202, 61)) / 100;
    r.shapes = r.shapes * (60 + pick(r.seed, 203, 41)) / 100;
    r.size = r.size * (70 + pick(r.seed, 204, 61)) / 100;
    r.texture = r.texture * (70 + pick(r.seed, 205, 31)) / 100;
    return r;
}

void vd_picture(float *dst, int w, int h, int i)
{
    assert(w >= 16 && h >= 16 && w <= 65536 && h <= 65536 && i >= 0);
    const struct recipe recipe = vary(i), *r = &recipe;
    struct shape shape[MAX_SHAPES];
    struct line line[MAX_LINES];
    assert(recipe.shapes <= MAX_SHAPES);
    draw_shapes(shape, r, w, h);
    const int lines = set_lines(line, r, h);

    int first = 0; /* line of text at or above the row */
    for (int y = 0; y < h; y++) {
        while (first + 1 < lines && line[first + 1].top <= y * SUB)
            first++;
        for (int x = 0; x < w; x++) {
            int64_t sum = 0;
            for (int k = 0; k < SUB * SUB; k++) {
                const int px = x * SUB + k % SUB, py = y * SUB + k / SUB;
                int n = first, level = -1;
                if (n + 1 < lines && line[n + 1].top <= py)
                    n++;
                if (lines && line[n].top <= py && is_ink(r->seed, &line[n], n, px, py))
                    level = LEVEL / 100 * r->ink;
                for (int s = r->shapes - 1; s >= 0 && level < 0; s--)
                    level = shape_level(&shape[s], px, py);
                sum += level < 0 ? ground(r, px, py, (int64_t)w * SUB, (int64_t)h * SUB) : level;
            }
            const int64_t grey = r->lo * 4096 + sum * (r->hi - r->lo) * 4096 / ((int64_t)LEVEL * SUB * SUB) + texture(r, x, y) + 2048;
            const int v = grey < 0 ? 0 : (int)(grey / 4096);
            dst[(size_t)y * (size_t)w + (size_t)x] = (float)(v > 255 ? 255 : v) / 255;
        }
    }
}
