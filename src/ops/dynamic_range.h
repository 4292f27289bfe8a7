/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_DYNAMIC_RANGE_H
#define VD_DYNAMIC_RANGE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* Scale and zero point of DynamicQuantizeLinear-11 for values in lo..hi, where
 * lo <= 0 <= hi. All float32, as ONNX Runtime: scale 1 for a range of nothing, the zero
 * point rounded half to even. False when no finite positive scale stands for the range. */
static inline bool vd_dynamic_range(float lo, float hi, float *scale, uint8_t *zp)
{
    *scale = hi == lo ? 1.0f : (hi - lo) / 255.0f;
    if (!isfinite(*scale) || !(*scale > 0))
        return false;
    const float z = 0.0f - lo / *scale;
    *zp = (uint8_t)rintf(z < 0 ? 0 : z > 255 ? 255 : z);
    return true;
}

#endif
