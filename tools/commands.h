/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_COMMANDS_H
#define VD_COMMANDS_H

/* Every subcommand, in the order of --help: quantize, gate, verify, inspect, filter, run. A new one is
 * cmd_NAME.c, its line in meson.build, and its line X(NAME) \ here. */
#define VD_COMMANDS(X)

#endif
