/*
 * tlsfile - a file of certificates or keys, for OpenSSL to read
 *
 * Only a regular file: the master must not wait for the other end of a fifo.
 * Built on: OpenSSL.
 */
#ifndef POSTERN_COMMON_TLSFILE_H
#define POSTERN_COMMON_TLSFILE_H

#include <openssl/bio.h>

/* As BIO_new_file(), whose name the reasons bear: NULL with the reason in OpenSSL's queue. The caller frees it. */
BIO *tlsfile_open(const char *path);

#endif
