/* OpenSSL's part of development keys. Secrets live in OpenSSL's secure BIO and in buffers wiped
 * before they are freed. */
#include "server/auth/devkey.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "server/auth/file.h"

#define PUBLIC_BYTES 32
#define DIGEST_BYTES 32
#define PEM_BYTES_MAX 4096

const char *fh_devkey_realm_name(enum fh_realm realm)
{
    return realm == FH_REALM_OPERATOR ? "operator" : "tenant";
}

static enum fh_code describe(struct fh_devkey *devkey, struct fh_error *error)
{
    uint8_t point[PUBLIC_BYTES];
    uint8_t digest[DIGEST_BYTES];
    size_t len = sizeof(point);
    char text[128];
    if (EVP_PKEY_get_raw_public_key(devkey->key, point, &len) != 1 || len != sizeof(point)) {
        return fh_error_set(error, FH_INVALID, "not an Ed25519 key");
    }
    devkey->x[fh_base64url_encode(point, sizeof(point), devkey->x)] = '\0';
    /* The members in this order and no blanks, as RFC 7638 (3.2) and RFC 8037 (2) say. */
    const int written = snprintf(text, sizeof(text),
                                 "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", devkey->x);
    if (EVP_Q_digest(NULL, "SHA256", NULL, text, (size_t)written, digest, NULL) != 1) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    devkey->kid[fh_base64url_encode(digest, sizeof(digest), devkey->kid)] = '\0';
    return FH_OK;
}

enum fh_code fh_devkey_generate(struct fh_devkey *out, struct fh_error *error)
{
    memset(out, 0, sizeof(*out));
    ERR_set_mark();
    out->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    enum fh_code code = out->key != NULL ? describe(out, error)
                                         : fh_error_set(error, FH_INTERNAL, "cannot make a key");
    ERR_pop_to_mark();
    if (code != FH_OK) {
        fh_devkey_close(out);
    }
    return code;
}

/* Without this OpenSSL would ask for a passphrase on the terminal. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's pem_password_cb */
static int no_passphrase_cb(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
}

static enum fh_code parse_pem(struct fh_str pem, const char *path, struct fh_devkey *out,
                              struct fh_error *error)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (bio == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    out->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase_cb, NULL);
    BIO_free(bio);
    if (out->key == NULL || EVP_PKEY_is_a(out->key, "ED25519") != 1) {
        return fh_error_set(error, FH_INVALID, "%s does not hold an Ed25519 key", path);
    }
    return describe(out, error);
}

enum fh_code fh_devkey_load(const char *dir, enum fh_realm realm, struct fh_devkey *out,
                            struct fh_error *error)
{
    char path[4096];
    struct fh_buf pem;
    struct fh_file_stamp stamp;
    memset(out, 0, sizeof(*out));
    const int len = snprintf(path, sizeof(path), "%s/%s.key.pem", dir, fh_devkey_realm_name(realm));
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return fh_error_set(error, FH_INVALID, "the path of the keys is too long");
    }
    fh_buf_init(&pem, PEM_BYTES_MAX);
    enum fh_code code = fh_file_read(path, &pem, &stamp, error);
    if (code == FH_OK && (stamp.mode & 077) != 0) {
        code = fh_error_set(error, FH_PRECONDITION, "%s can be read by others; run: chmod 600 %s",
                            path, path);
    }
    if (code == FH_OK) {
        ERR_set_mark();
        code = parse_pem(fh_buf_str(&pem), path, out, error);
        ERR_pop_to_mark();
    }
    if (pem.data != NULL) {
        OPENSSL_cleanse(pem.data, pem.capacity);
    }
    fh_buf_close(&pem);
    if (code != FH_OK) {
        fh_devkey_close(out);
    }
    return code;
}

enum fh_code fh_devkey_to_pem(const struct fh_devkey *devkey, struct fh_buf *out)
{
    char *data = NULL;
    BIO *bio = BIO_new(BIO_s_secmem());
    if (bio == NULL) {
        return FH_NOMEM;
    }
    enum fh_code code = FH_NOMEM;
    if (PEM_write_bio_PKCS8PrivateKey(bio, devkey->key, NULL, NULL, 0, NULL, NULL) == 1) {
        const long len = BIO_get_mem_data(bio, &data);
        fh_buf_add(out, data, (size_t)len);
        code = fh_buf_code(out);
    }
    BIO_free(bio);
    return code;
}

enum fh_code fh_devkey_to_jwks(const struct fh_devkey *devkey, struct fh_buf *out)
{
    fh_buf_printf(
        out,
        "{\n  \"keys\": [\n    {\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"use\": \"sig\", "
        "\"alg\": \"EdDSA\",\n     \"kid\": \"%s\",\n     \"x\": \"%s\"}\n  ]\n}\n",
        devkey->kid, devkey->x);
    return fh_buf_code(out);
}

void fh_devkey_close(struct fh_devkey *devkey)
{
    EVP_PKEY_free(devkey->key);
    memset(devkey, 0, sizeof(*devkey));
}
