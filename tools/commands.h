/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_COMMANDS_H
#define VD_COMMANDS_H

/* Every subcommand, in the order of --help. A new one is cmd_NAME.c, its line in meson.build, and its line here. */
#define VD_COMMANDS(X) \
    X(calibrate) \
    X(quantize) \
    X(gate) \
    X(verify) \
    X(registry) \
    X(inspect) \
    X(filter) \
    X(score) \
    X(run) \
    X(bench) \
    X(train)

#endif
