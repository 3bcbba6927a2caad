#ifndef SLUG_H
#define SLUG_H

#include <stddef.h>

/* Writes TEXT into OUT (SIZE bytes, at least 1) in lower case, with one dash for each run of
 * characters that are neither letters nor digits, and none at either end. Returns the length, or
 * -1 where OUT is too small; OUT is then an empty string. */
int slug(const char *text, char *out, size_t size);

#endif
