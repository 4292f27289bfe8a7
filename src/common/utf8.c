/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/utf8.h"

int32_t vd_utf8(const void *at, const void *end, size_t *len)
{
    static const int32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *s = at;
    const size_t left = (size_t)((const uint8_t *)end - s);
    *len = 0;
    if (s[0] < 0x80) {
        *len = 1;
        return s[0];
    }
    const size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || left < n)
        return -1;
    int32_t c = s[0] & (0x7f >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (s[i] & 0x3f); /* 21 bits at most */
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return -1;
    *len = n;
    return c;
}

bool vd_utf8_hidden(int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}
