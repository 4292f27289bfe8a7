/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ARCH_H
#define VD_ARCH_H

#include <stdint.h>

#include "onnx/onnx.h"

/* Networks to begin with, as ONNX models (opset 17) with seeded weights: normal, standard deviation sqrt(2 / fan in) (He et al., ICCV
 * 2015). Same arguments, same bytes on every machine. Freed with vd_onnx_free(). -EINVAL for sizes out of range, -ENOMEM. */

/* Picture to picture: y = clip(x + exit(blocks(entry(x))), 0, 1), 3x3 convolutions with biases and padding 1; entry from 1 to
 * `channels`; each block x + conv(relu(conv(x))); exit back to 1. Input "degraded", output "filtered", [N,1,H,W], N, H, W symbolic. What makes
 * a block's and the net's sum starts at a tenth, so that training starts near the identity. 16 channels and 4 blocks are learned_filter_v1's
 * 18,865 weights. */
int vd_arch_residual_filter(struct vd_onnx_model *m, int channels, int blocks, uint64_t seed);

enum { VD_ARCH_MAX_BLOCKS = 32, VD_ARCH_MAX_CHANNELS = 512 };

/* Picture to score: a 3x3 convolution with stride 2 from 1 to `stem` channels, then depthwise-separable blocks (3x3 depthwise with
 * `stride`, 1x1 to `channels`), BatchNormalization and ReLU6 behind every convolution, the mean over the picture, one linear layer, squeezed.
 * Input "frame" [N,1,side,side], output "score" [N]; bias: the linear layer's, best the mean of the targets. */
struct vd_arch_block { int stride, channels; };
int vd_arch_separable_score(struct vd_onnx_model *m, int stem, const struct vd_arch_block *block, int n, int side, float bias, uint64_t seed);

#endif
