/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmaf_dnn/vmaf_dnn.h"

const char *vmaf_dnn_version(void) { return VMAF_DNN_VERSION; }
