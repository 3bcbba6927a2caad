#include "slug.h"

#include <stdio.h>

int main(int argc, char **argv) {
    char out[256];
    if (argc != 2) {
        fprintf(stderr, "usage: slug TEXT\n");
        return 2;
    }
    if (slug(argv[1], out, sizeof out) < 0) {
        fprintf(stderr, "slug: longer than %zu bytes\n", sizeof out - 1);
        return 1;
    }
    puts(out);
    return 0;
}
