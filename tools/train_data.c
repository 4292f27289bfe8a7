/* SPDX-License-Identifier: BSD-2-Clause */
#include "train_data.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/random.h"
#include "gate/gate.h"
#include "io/resize.h"
#include "io/y4m.h"

enum { MAX_FILES = 100000, MAX_CSV = 64 << 20, MAX_PATH = 4096 };

/* --- files of a source */

struct files { char **name; int n; };

static void free_files(struct files *f)
{
    for (int i = 0; i < f->n; i++)
        vd_free(f->name[i]);
    vd_free(f->name);
    *f = (struct files){0};
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int add_file(struct files *f, const char *path)
{
    char **name = f->n % 64 ? f->name : vd_realloc(f->name, (size_t)f->n + 64, sizeof(*name));
    if (!name)
        return vd_nomem(0);
    f->name = name;
    if (!(f->name[f->n] = vd_strdup(path)))
        return vd_nomem(strlen(path));
    f->n++;
    return f->n < MAX_FILES ? 0 : vd_fail(E2BIG, "more than %d files", MAX_FILES);
}

/* The file, or every .y4m of the folder, in order of name. */
static int list_files(struct files *f, const char *path)
{
    struct stat st;
    char full[MAX_PATH];
    if (stat(path, &st))
        return errno == ENOENT || errno == ENOTDIR ? vd_fail(ENOENT, "%s: there is no such file or folder", path)
                                                   : vd_fail(errno == EACCES ? EACCES : EIO, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return add_file(f, path);
    DIR *dir = opendir(path);
    if (!dir)
        return vd_fail(errno == ENOMEM ? ENOMEM : errno == EACCES ? EACCES : EIO, "%s: the folder cannot be read: %s", path, strerror(errno));
    int rc = 0;
    errno = 0;
    for (const struct dirent *e; !rc && (e = readdir(dir)); errno = 0) {
        const size_t n = strlen(e->d_name);
        if (n < 5 || strcmp(e->d_name + n - 4, ".y4m"))
            continue;
        rc = (size_t)snprintf(full, sizeof(full), "%s/%s", path, e->d_name) < sizeof(full) ? add_file(f, full)
                                                                                             : vd_fail(ENAMETOOLONG, "%s: a path is too long", path);
    }
    if (!rc && errno) /* what was listed so far is not all there is */
        rc = vd_fail(EIO, "%s: the folder cannot be read: %s", path, strerror(errno));
    closedir(dir);
    if (!rc && !f->n)
        rc = vd_fail(ENOENT, "%s: no .y4m files in this folder", path);
    if (f->n)
        qsort(f->name, (size_t)f->n, sizeof(*f->name), by_name);
    return rc;
}

/* --- frames of a file */

struct clip {
    int fd;
    struct vd_y4m y;
    bool open;
};

static int open_clip(struct clip *c, const char *path)
{
    *c = (struct clip){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (c->fd < 0)
        return vd_fail(errno == EACCES || errno == ENOENT ? errno : EIO, "%s: cannot be opened: %s", path, strerror(errno));
    int rc = vd_y4m_open(&c->y, vd_read_fd, &c->fd, path, false);
    c->open = !rc;
    if (!rc && c->y.depth != 8)
        rc = vd_fail(ENOTSUP, "%s: %d bits a sample; training takes 8", path, c->y.depth);
    return rc;
}

static void close_clip(struct clip *c)
{
    if (c->open)
        vd_y4m_close(&c->y);
    if (c->fd >= 0)
        close(c->fd);
}

static struct vd_train_picture *add_picture(struct vd_train_data *d, const char *name, int w, int h)
{
    if (d->n == d->room) {
        struct vd_train_picture *more = vd_realloc(d->picture, (size_t)d->room + 256, sizeof(*more));
        if (!more)
            return NULL;
        d->picture = more;
        d->room += 256;
    }
    struct vd_train_picture *p = &d->picture[d->n];
    *p = (struct vd_train_picture){.name = vd_strdup(name), .w = w, .h = h, .degraded = vd_malloc((size_t)w * (size_t)h)};
    if (!p->name || !p->degraded) {
        vd_free(p->name);
        vd_free(p->degraded);
        return NULL;
    }
    d->n++;
    return p;
}

static int add_frames(struct vd_train_data *d, const struct vd_train_source *s, const char *clean, const char *degraded)
{
    struct clip a, b = {.fd = -1};
    char name[MAX_PATH + 32];
    int rc = open_clip(&a, clean), got = 1;
    if (!rc && degraded)
        rc = open_clip(&b, degraded);
    if (!rc && degraded && (a.y.width != b.y.width || a.y.height != b.y.height))
        rc = vd_fail(EBADMSG, "%s is %dx%d, %s is %dx%d", clean, a.y.width, a.y.height, degraded, b.y.width, b.y.height);
    long i = 0;
    for (; !rc && (got = vd_y4m_next(&a.y)) == 1; i++) {
        if (degraded && (got = vd_y4m_next(&b.y)) != 1) {
            rc = got ? got : vd_fail(EBADMSG, "%s ends before %s", degraded, clean);
            break;
        }
        if (i % s->every)
            continue;
        if (a.y.width < d->side || a.y.height < d->side) {
            d->too_small++;
            continue;
        }
        const size_t n = (size_t)a.y.width * (size_t)a.y.height;
        snprintf(name, sizeof(name), "%s:%ld", clean, i);
        struct vd_train_picture *p = add_picture(d, name, a.y.width, a.y.height);
        if (!p || !(p->clean = vd_malloc(n))) {
            rc = vd_nomem(2 * n);
            break;
        }
        memcpy(p->clean, a.y.plane[0], n);
        memcpy(p->degraded, degraded ? b.y.plane[0] : a.y.plane[0], n);
    }
    if (!rc && got < 0)
        rc = got;
    if (!rc && !i)
        rc = vd_fail(EBADMSG, "%s: no frames in it", clean);
    close_clip(&a);
    close_clip(&b);
    return rc;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int add_source(struct vd_train_data *d, const struct vd_train_source *s, struct vd_progress *progress)
{
    struct files f = {0};
    struct stat st;
    char other[MAX_PATH];
    int rc = list_files(&f, s->clean);
    const bool folder = s->degraded && !stat(s->degraded, &st) && S_ISDIR(st.st_mode);
    for (int i = 0; !rc && i < f.n; i++) {
        if (folder)
            snprintf(other, sizeof(other), "%s/%s", s->degraded, base_name(f.name[i]));
        rc = add_frames(d, s, f.name[i], !s->degraded ? NULL : folder ? other : s->degraded);
        vd_progress_step(progress, d->n);
    }
    free_files(&f);
    return rc;
}

/* --- degrading */

struct degrade { struct vd_train_data *d; int first; int rc; };

/* Shrink and grow, blur, noise, JPEG: in this order, each when asked for. The noise is the picture's own, by number and seed. */
static void degrade_task(void *arg, size_t task, int worker)
{
    struct degrade *g = arg;
    const struct vd_train_config *c = g->d->config;
    struct vd_train_picture *p = &g->d->picture[g->first + (int)task];
    const size_t n = (size_t)p->w * (size_t)p->h;
    float *a = vd_malloc(n * sizeof(float)), *b = vd_malloc(n * sizeof(float)), *t = vd_malloc(n * sizeof(float));
    (void)worker;
    if (!a || !b || !t) {
        g->rc = -ENOMEM;
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        a[i] = (float)p->clean[i] / 255;
    if (c->shrink > 1) {
        const int w = (int)(p->w / c->shrink) ? (int)(p->w / c->shrink) : 1, h = (int)(p->h / c->shrink) ? (int)(p->h / c->shrink) : 1;
        vd_resize_area(b, w, h, a, p->w, p->h);
        vd_resize_area(a, p->w, p->h, b, w, h);
    }
    if (c->blur > 0) {
        vd_blur(b, a, p->w, p->h, c->blur, t);
        memcpy(a, b, n * sizeof(float));
    }
    if (c->noise > 0) {
        struct vd_rng rng;
        vd_rng_seed(&rng, c->seed + 1000003u * (uint64_t)(g->first + (int)task));
        for (size_t i = 0; i < n; i++) {
            double sum = -6;
            for (int k = 0; k < 12; k++)
                sum += (double)vd_rng_f32(&rng);
            a[i] = (float)fmin(1, fmax(0, (double)a[i] + sum * c->noise / 255));
        }
    }
    if (c->jpeg) {
        vd_jpeg_loss(b, a, p->w, p->h, c->jpeg);
        memcpy(a, b, n * sizeof(float));
    }
    for (size_t i = 0; i < n; i++)
        p->degraded[i] = (uint8_t)rint(fmin(255, fmax(0, (double)a[i] * 255)));
done:
    vd_free(a);
    vd_free(b);
    vd_free(t);
}

/* --- scores: lines "FILE,FRAME,SCORE" behind a header; files are relative to the CSV */

static int add_scored_frames(struct vd_train_data *d, const char *clip, const long *frame, const float *score, int n)
{
    struct clip a;
    char name[2 * MAX_PATH + 32];
    int rc = open_clip(&a, clip), at = 0;
    float *plane = NULL, *small = NULL;
    if (!rc && (!(plane = vd_malloc((size_t)a.y.width * (size_t)a.y.height * sizeof(float))) ||
                !(small = vd_malloc((size_t)d->side * (size_t)d->side * sizeof(float)))))
        rc = vd_nomem(0);
    for (long i = 0; !rc && at < n; i++) {
        const int got = vd_y4m_next(&a.y);
        if (got != 1) {
            rc = got ? got : vd_fail(EBADMSG, "%s has %ld frame%s, and a score is given for frame %ld", clip, i, vd_s(i), frame[at]);
            break;
        }
        if (frame[at] != i)
            continue;
        const bool cut = d->config->windows;
        if (cut && (a.y.width < d->side || a.y.height < d->side)) {
            rc = vd_fail(EBADMSG, "%s is %dx%d, and windows of %dx%d are wanted: \"resize\": \"area\" would enlarge it", clip, a.y.width, a.y.height, d->side, d->side);
            break;
        }
        snprintf(name, sizeof(name), "%s:%ld", clip, i);
        struct vd_train_picture *p = add_picture(d, name, cut ? a.y.width : d->side, cut ? a.y.height : d->side);
        if (!p) {
            rc = vd_nomem(0);
            break;
        }
        if (cut) {
            memcpy(p->degraded, a.y.plane[0], a.y.plane_size[0]);
        } else {
            for (size_t k = 0; k < a.y.plane_size[0]; k++)
                plane[k] = (float)a.y.plane[0][k];
            vd_resize_area(small, d->side, d->side, plane, a.y.width, a.y.height);
            for (int k = 0; k < d->side * d->side; k++)
                p->degraded[k] = (uint8_t)rint((double)small[k]);
        }
        p->score = score[at++];
    }
    vd_free(plane);
    vd_free(small);
    close_clip(&a);
    return rc;
}

static int add_scores(struct vd_train_data *d, const char *csv, struct vd_progress *progress)
{
    enum { MAX_FRAMES = 100000 };
    uint8_t *data;
    size_t size;
    char clip[MAX_PATH], now[MAX_PATH] = "", full[2 * MAX_PATH];
    int rc = vd_file_read(csv, MAX_CSV, &data, &size), n = 0, line = 1;
    if (rc)
        return rc;
    long *frame = vd_malloc(MAX_FRAMES * sizeof(*frame));
    float *score = vd_malloc(MAX_FRAMES * sizeof(*score));
    const char *slash = strrchr(csv, '/');
    if (!frame || !score)
        rc = vd_nomem(0);
    char *at = strchr((char *)data, '\n'); /* the header; data ends in a zero byte */
    double first;
    if (!rc && sscanf((char *)data, "%4095[^,\n],%*d,%lf", clip, &first) == 2)
        rc = vd_fail(EBADMSG, "%s, line 1: a header is wanted there (file,frame,score), and this is a frame with its score", csv);
    while (!rc) {
        long f = 0;
        double v = 0;
        char *end = at ? strchr(at + 1, '\n') : NULL;
        const bool more = at && at[1];
        line++;
        if (end)
            *end = '\0';
        int used = 0;
        if (more && (sscanf(at + 1, "%4095[^,],%ld,%lf%n", clip, &f, &v, &used) != 3 || at[1 + used + (int)strspn(at + 1 + used, " \r")])) {
            rc = vd_fail(EBADMSG, "%s, line %d: FILE,FRAME,SCORE is wanted", csv, line);
            break;
        }
        if (f < 0 || !(fabs(v) <= 1e6)) {
            rc = vd_fail(EBADMSG, "%s, line %d: a frame counts from 0, and a score is a number of -1e6 to 1e6", csv, line);
            break;
        }
        if (n && (!more || strcmp(clip, now) || n == MAX_FRAMES)) {
            snprintf(full, sizeof(full), "%.*s%s", slash && now[0] != '/' ? (int)(slash + 1 - csv) : 0, csv, now);
            rc = add_scored_frames(d, full, frame, score, n);
            vd_progress_step(progress, d->n);
            n = 0;
        }
        if (!more)
            break;
        if (n && frame[n - 1] >= f) {
            rc = vd_fail(EBADMSG, "%s, line %d: frames of one file must go up", csv, line);
            break;
        }
        memcpy(now, clip, sizeof(now));
        frame[n] = f;
        score[n++] = (float)v;
        at = end;
    }
    vd_free(frame);
    vd_free(score);
    vd_free(data);
    return rc;
}

int vd_train_data_load(struct vd_train_data *d, const struct vd_train_config *c, const struct vd_train_source *s, int n, int side,
                       struct vd_workers *w, const char *label)
{
    struct vd_progress progress;
    crypto_hash_sha256_state h;
    int rc = 0;
    *d = (struct vd_train_data){.config = c, .side = side};
    vd_progress_start(&progress, label, 0);
    for (int i = 0; !rc && i < n; i++) {
        const int first = d->n;
        rc = strcmp(c->kind, "nr") ? add_source(d, &s[i], &progress) : add_scores(d, s[i].clean, &progress);
        if (rc || s[i].degraded || !strcmp(c->kind, "nr"))
            continue;
        struct degrade g = {.d = d, .first = first};
        vd_workers_run(w, degrade_task, &g, (size_t)(d->n - first));
        rc = g.rc ? vd_nomem(0) : 0;
    }
    vd_progress_end(&progress);
    if (!rc && !d->n)
        rc = vd_fail(ENOENT, "no pictures of at least %dx%d for %s", side, side, label);
    if (rc) {
        vd_train_data_free(d);
        return rc;
    }
    crypto_hash_sha256_init(&h);
    for (int i = 0; i < d->n; i++) {
        struct vd_train_picture *p = &d->picture[i];
        p->places = (i ? p[-1].places : 0) + (uint64_t)(p->w - side + 1) * (uint64_t)(p->h - side + 1);
        const size_t bytes = (size_t)p->w * (size_t)p->h;
        if (p->clean)
            crypto_hash_sha256_update(&h, p->clean, bytes);
        crypto_hash_sha256_update(&h, p->degraded, bytes);
        crypto_hash_sha256_update(&h, (const unsigned char *)&p->score, sizeof(p->score));
    }
    crypto_hash_sha256_final(&h, d->digest);
    return 0;
}

void vd_train_data_free(struct vd_train_data *d)
{
    for (int i = 0; i < d->n; i++) {
        vd_free(d->picture[i].name);
        vd_free(d->picture[i].clean);
        vd_free(d->picture[i].degraded);
    }
    vd_free(d->picture);
    *d = (struct vd_train_data){0};
}

/* --- samples */

/* The picture of place number at, of all pictures' places. */
static const struct vd_train_picture *picture_at(const struct vd_train_data *d, uint64_t at)
{
    int lo = 0, hi = d->n - 1;
    while (lo < hi) {
        const int mid = (lo + hi) / 2;
        if (at < d->picture[mid].places)
            hi = mid;
        else
            lo = mid + 1;
    }
    return &d->picture[lo];
}

void vd_train_data_draw(void *arg, uint64_t sample, float *x, float *target)
{
    const struct vd_train_data *d = arg;
    const int side = d->side;
    struct vd_rng rng;

    vd_rng_seed(&rng, (d->config->seed << 40) + sample);
    const struct vd_train_picture *p = picture_at(d, vd_rng_u64(&rng) % d->picture[d->n - 1].places); /* places are far fewer than 2^64 */
    const uint32_t flips = vd_rng_u32(&rng);
    const bool mirror = flips & 1, upside_down = flips & 2;
    const int left = (int)vd_rng_below(&rng, (uint32_t)(p->w - side) + 1), top = (int)vd_rng_below(&rng, (uint32_t)(p->h - side) + 1);
    const struct vd_train_augment *a = &d->config->augment;
    const bool turn = a->transpose && flips & 4, tones = a->contrast > 0 || a->brightness > 0;
    const double gain = tones ? 1 + a->contrast * (2 * vd_rng_f64(&rng) - 1) : 1, lift = tones ? a->brightness * (2 * vd_rng_f64(&rng) - 1) : 0;
    for (int r = 0; r < side; r++) {
        for (int i = 0; i < side; i++) {
            const int down = turn ? i : r, across = turn ? r : i;
            const size_t from = (size_t)(top + (upside_down ? side - 1 - down : down)) * (size_t)p->w + (size_t)(left + (mirror ? side - 1 - across : across));
            const float v = (float)p->degraded[from] / 255;
            *x++ = tones ? (float)(0.5 + gain * ((double)v - 0.5) + lift) : v;
            if (p->clean)
                *target++ = (float)p->clean[from] / 255;
        }
    }
    if (!p->clean)
        *target = (float)((double)p->score / d->config->score_scale);
}
