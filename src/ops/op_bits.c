/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op_loops.h"

/* Bits of integers: signed ones are worked on as unsigned ones of their width. */
#define bitwise_and_expr(a, b, T, W) ((T)((a) & (b)))
#define bitwise_or_expr(a, b, T, W) ((T)((a) | (b)))
#define bitwise_xor_expr(a, b, T, W) ((T)((a) ^ (b)))
#define BITWISE_OP(op) \
    UINT_TYPES(BINARY_LOOP, op) \
    BINARY_FUNCTIONS(op, vd_infer_pair, WORD_ROWS(op))
BITWISE_OP(bitwise_and)
BITWISE_OP(bitwise_or)
BITWISE_OP(bitwise_xor)

#define bitwise_not_expr(x, T, W) ((T)~(W)(x))
UINT_TYPES(UNARY_LOOP, bitwise_not)
UNARY_FUNCTIONS(bitwise_not, WORD_ROWS(bitwise_not))

/* By the width or more nothing is left: 0. */
#define WIDTH(T) (8 * sizeof(T))
#define left_expr(a, b, T, W) ((T)((b) < WIDTH(T) ? (W)(a) << ((b) % WIDTH(T)) : 0))
#define right_expr(a, b, T, W) ((T)((b) < WIDTH(T) ? (W)(a) >> ((b) % WIDTH(T)) : 0))
UINT_TYPES(BINARY_LOOP, left)
UINT_TYPES(BINARY_LOOP, right)

int vd_infer_bit_shift(const struct vd_op_call *c)
{
    const char *to = vd_op_str(c, "direction", "");
    if (strcmp(to, "LEFT") && strcmp(to, "RIGHT"))
        return vd_op_fail(c, EBADMSG, "attribute direction is '%s'; it must be 'LEFT' or 'RIGHT'", to);
    return vd_infer_pair(c);
}

void vd_run_bit_shift(const struct vd_op_call *c)
{
    static vd_row_fn *const left[] = {UINT_TYPES(ROW_OF, left)}, *const right[] = {UINT_TYPES(ROW_OF, right)};
    vd_run_rows2(c, (vd_op_str(c, "direction", "")[0] == 'L' ? left : right)[c->in[0]->type], NULL);
}
