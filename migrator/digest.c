/* Happy path: each row is encoded as its image (stores/image.h), which has a length of its own in
 * every part, and fed to the hash behind its own length. Failures: memory only. */
#include "migrator/digest.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/buf.h"
#include "stores/image.h"

/* A row has at most FH_COLUMNS_MAX values. */
#define IMAGE_BYTES_MAX ((size_t)256 * 1024 * 1024)

enum fh_code fh_digest_begin(struct fh_digest *digest)
{
    if (digest->context == NULL) {
        digest->context = EVP_MD_CTX_new();
    }
    digest->count = 0;
    return digest->context != NULL && EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) == 1
               ? FH_OK
               : FH_NOMEM;
}

static enum fh_code feed(struct fh_digest *digest, struct fh_buf *buf)
{
    enum fh_code code = fh_buf_code(buf);
    if (code != FH_OK) {
        return code;
    }
    uint64_t len = buf->len;
    uint8_t head[8];
    for (size_t i = 0; i < sizeof(head); i++) {
        head[i] = (uint8_t)(len >> (8 * i));
    }
    digest->count++;
    return EVP_DigestUpdate(digest->context, head, sizeof(head)) == 1 &&
                   EVP_DigestUpdate(digest->context, buf->data, buf->len) == 1
               ? FH_OK
               : FH_INTERNAL;
}

enum fh_code fh_digest_rows(struct fh_digest *digest, struct fh_row *const *rows, size_t count)
{
    enum fh_code code = FH_OK;
    struct fh_buf buf;
    fh_buf_init(&buf, IMAGE_BYTES_MAX);
    for (size_t i = 0; code == FH_OK && i < count; i++) {
        fh_buf_clear(&buf);
        fh_image_encode(rows[i], &buf);
        code = feed(digest, &buf);
    }
    fh_buf_close(&buf);
    return code;
}

static void add_text(struct fh_buf *buf, struct fh_str text)
{
    fh_buf_add_be64(buf, text.data == NULL ? UINT64_MAX : text.len);
    fh_buf_add_str(buf, text);
}

enum fh_code fh_digest_journal(struct fh_digest *digest, const struct fh_journal_row *rows,
                               size_t count)
{
    enum fh_code code = FH_OK;
    struct fh_buf buf;
    fh_buf_init(&buf, IMAGE_BYTES_MAX);
    for (size_t i = 0; code == FH_OK && i < count; i++) {
        const struct fh_journal_row *row = &rows[i];
        /* An empty text may come with or without an address; only images may be absent. */
        const struct fh_str texts[] = {row->request_id, row->actor, row->address, row->changes};
        fh_buf_clear(&buf);
        fh_buf_add_be64(&buf, row->epoch);
        fh_buf_add_be64(&buf, row->seq);
        fh_buf_add(&buf, row->request_hash, sizeof(row->request_hash));
        fh_buf_add_be32(&buf, row->schema_version);
        fh_buf_add_be64(&buf, (uint64_t)row->at_us);
        for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
            fh_buf_add_be64(&buf, texts[t].len);
            fh_buf_add_str(&buf, texts[t]);
        }
        add_text(&buf, row->images);
        code = feed(digest, &buf);
    }
    fh_buf_close(&buf);
    return code;
}

enum fh_code fh_digest_finish(struct fh_digest *digest)
{
    unsigned len = 0;
    return EVP_DigestFinal_ex(digest->context, digest->value, &len) == 1 ? FH_OK : FH_INTERNAL;
}

bool fh_digest_equal(const struct fh_digest *a, const struct fh_digest *b)
{
    return a->count == b->count && memcmp(a->value, b->value, sizeof(a->value)) == 0;
}

void fh_digest_close(struct fh_digest *digest)
{
    EVP_MD_CTX_free(digest->context);
    digest->context = NULL;
}
