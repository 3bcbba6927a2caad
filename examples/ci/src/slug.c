#include "slug.h"

#include <ctype.h>

int slug(const char *text, char *out, size_t size) {
    size_t length = 0;
    int dash = 0;
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (!isalnum(byte)) {
            dash = length > 0;
            continue;
        }
        if (length + (size_t)dash + 2 > size) {
            out[0] = '\0';
            return -1;
        }
        if (dash) {
            out[length++] = '-';
            dash = 0;
        }
        out[length++] = (char)tolower(byte);
    }
    out[length] = '\0';
    return (int)length;
}
