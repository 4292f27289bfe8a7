/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/bytes.h"
#include "common/mem.h"
#include "common/status.h"
#include "gate_report.h"
#include "io/stream.h"

static int put_text(const char *s, size_t n, void *buf)
{
    vd_put(buf, s, n);
    return 0;
}

static int write_out(const char *path, const char *text, size_t n)
{
    struct vd_sink sink;
    int rc = vd_sink_open(&sink, path);

    if (!rc && !(rc = vd_sink_write(&sink, text, n)))
        return vd_sink_commit(&sink);
    vd_sink_abort(&sink);
    return rc;
}

int vd_report_json(const char *path, json_t *json)
{
    struct vd_buf text = {0}; /* not json_dumps(), which goes on without a key that it had no room for */
    const bool whole = json && !vd_json_lost() && !json_dump_callback(json, put_text, &text, JSON_INDENT(2) | JSON_REAL_PRECISION(9));

    vd_put_u8(&text, '\n');
    int rc = whole && !text.bad ? write_out(path, (const char *)text.data, text.size) : vd_nomem(text.size);
    vd_free(text.data);
    json_decref(json);
    return rc;
}

int vd_report_html(const char *path, const struct vd_gate_result *r, const struct vd_explain *e)
{
    struct vd_buf b = {0};
    int rc = vd_gate_html(&b, r, e);

    if (!rc)
        rc = write_out(path, (const char *)b.data, b.size);
    vd_free(b.data);
    return rc;
}
