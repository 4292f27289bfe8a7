/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "commands.h"

#define DECLARE(name) extern const struct vd_cmd vd_cmd_##name;
VD_COMMANDS(DECLARE)
#define ADDRESS(name) &vd_cmd_##name,
static const struct vd_cmd *const commands[] = {VD_COMMANDS(ADDRESS) NULL};
enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) - 1 };

static void print_help(FILE *f)
{
    fputs("vmaf-dnn: quantise, gate, pin and run tiny ONNX models on video\n"
          "\n"
          "Usage: vmaf-dnn COMMAND [OPTION]... [ARGUMENT]...\n"
          "\n"
          "Commands:\n", f);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(f, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n"
          "  vmaf-dnn COMMAND --help   options of one command, with an example\n"
          "  vmaf-dnn --version        version\n"
          "\n"
          "MODEL is the path of a .onnx file, or an id from model/tiny/registry.json.\n"
          "A clip named - is standard input or standard output.\n"
          "\n"
          "Exit codes (gate has its own, see its --help): 0 done, 1 a verdict said no, 2 usage or a file that is\n"
          "not there, 3 a clip or array that is broken, ends early, or is of a kind that is not taken, 4 a model\n"
          "that was refused, 5 no room, no memory, a failed read or write, or nobody reads the output.\n", f);
}

/* Results on standard output count as given only when they were written. */
static int finish(int code)
{
    if (!fflush(stdout) && !ferror(stdout))
        return code;
    if (errno != EPIPE && code != VD_EXIT_ROOM) /* which says that, or something like it, already */
        vd_say(NULL, "cannot write standard output: %s", strerror(errno));
    return code == VD_EXIT_OK ? VD_EXIT_ROOM : code;
}

/* A file must never land on descriptor 0, 1 or 2 because the caller closed it.
 * Read-only on purpose: writing there has to fail. */
static void fill_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

static const struct vd_cmd *find(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

static int unknown(const char *word)
{
    const char *names[N_COMMANDS + 1] = {NULL};

    for (int i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i]->name;
    const char *near = vd_closest(word, names);
    const char *what = word[0] == '-' ? "option" : "command";
    if (near && word[0] != '-')
        vd_say(NULL, "unknown %s '%.80s'; did you mean '%s'? 'vmaf-dnn --help' lists them all", what, word, near);
    else
        vd_say(NULL, "unknown %s '%.80s'; 'vmaf-dnn --help' lists what there is", what, word);
    return VD_EXIT_USAGE;
}

static bool asks_help(const char *arg)
{
    return !strcmp(arg, "--help") || !strcmp(arg, "-h");
}

int main(int argc, char **argv)
{
    fill_descriptors();
    /* A closed pipe and a file size limit are errors of write(), so that temporary files are removed. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);

    if (argc < 2) {
        print_help(stderr);
        return VD_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
        printf("vmaf-dnn %s\n", vmaf_dnn_version());
        return finish(VD_EXIT_OK);
    }
    if (asks_help(word) || (!strcmp(word, "help") && argc == 2)) {
        print_help(stdout);
        return finish(VD_EXIT_OK);
    }
    bool help = !strcmp(word, "help");
    const struct vd_cmd *c = find(help ? argv[2] : word);
    if (!c)
        return unknown(help ? argv[2] : word);
    for (int i = 2; i < argc && strcmp(argv[i], "--"); i++)
        help |= asks_help(argv[i]);
    if (help) {
        fputs(c->help, stdout);
        return finish(VD_EXIT_OK);
    }
    return finish(c->run(argc - 1, argv + 1));
}
