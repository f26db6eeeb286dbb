/* SPDX-License-Identifier: ISC */
/*
 * idn: converts domain names between UTF-8 and ASCII. Called by the evaluator in every process. libidn2 and its
 * tables are 2 MB that hardly anybody needs, so it is opened at the first such name, or before the process is
 * confined when the configuration holds one. Without it (or in a build without it) the value cannot be evaluated,
 * and whoever wrote it is told why.
 */
#include "common/config/idn.h"

#include <config.h> /* of the build */
#include <stdlib.h>

bool idn_is_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text > 127)
            return false;
    return true;
}

#ifdef HAVE_LIBIDN2

#include <dlfcn.h>
#include <idn2.h>

static struct {
    __typeof__(&idn2_to_ascii_8z) to_ascii;
    __typeof__(&idn2_to_unicode_8z8z) to_utf8;
    __typeof__(&idn2_strerror) reason;
    bool tried;
} library;

static void *load_function(void *handle, const char *name)
{
    return handle != NULL ? dlsym(handle, name) : NULL;
}

void idn_load(void)
{
    if (library.tried)
        return;
    library.tried = true;
    void *handle = dlopen("libidn2.so.0", RTLD_NOW | RTLD_LOCAL); /* kept for the life of the process */
    *(void **)&library.to_ascii = load_function(handle, "idn2_to_ascii_8z");
    *(void **)&library.to_utf8 = load_function(handle, "idn2_to_unicode_8z8z");
    *(void **)&library.reason = load_function(handle, "idn2_strerror");
}

static bool take_result(int code, char *converted, const char *name, struct str *result, struct str *why)
{
    if (code == IDN2_OK)
        str_append(result, converted);
    else
        str_printf(why, "\"%s\" is not a domain name: %s", name, library.reason(code));
    free(converted);
    return code == IDN2_OK;
}

static bool is_loaded(const char *name, struct str *why)
{
    idn_load();
    if (library.to_ascii != NULL && library.to_utf8 != NULL && library.reason != NULL)
        return true;
    str_printf(why, "\"%s\" cannot be converted: libidn2.so.0 cannot be loaded", name);
    return false;
}

bool idn_to_ascii(const char *name, struct str *result, struct str *why)
{
    char *converted = NULL;
    if (idn_is_ascii(name)) {
        str_append(result, name);
        return true;
    }
    if (!is_loaded(name, why))
        return false;
    int code = library.to_ascii(name, &converted, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    return take_result(code, converted, name, result, why);
}

bool idn_to_utf8(const char *name, struct str *result, struct str *why)
{
    char *converted = NULL;
    if (!idn_is_ascii(name) || strstr(name, "xn--") == NULL) {
        str_append(result, name);
        return true;
    }
    if (!is_loaded(name, why))
        return false;
    int code = library.to_utf8(name, &converted, 0);
    return take_result(code, converted, name, result, why);
}

#else

void idn_load(void)
{
}

static bool keep_or_refuse(bool same, const char *name, struct str *result, struct str *why)
{
    if (same)
        str_append(result, name);
    else
        str_printf(why, "\"%s\" cannot be converted: this program was built without libidn2", name);
    return same;
}

bool idn_to_ascii(const char *name, struct str *result, struct str *why)
{
    return keep_or_refuse(idn_is_ascii(name), name, result, why);
}

bool idn_to_utf8(const char *name, struct str *result, struct str *why)
{
    return keep_or_refuse(!idn_is_ascii(name) || strstr(name, "xn--") == NULL, name, result, why);
}

#endif
