/* The schema the suite works on, made by hand so that no parser stands between a test and its
 * engine. Ids are what the parser would give: a table's columns by position, then its indexes and
 * references. Every pointer of a version leads within it. */
#ifndef FH_TESTS_CONFORMANCE_MODEL_H
#define FH_TESTS_CONFORMANCE_MODEL_H

#include "stores/row.h"

/* authors(id bigint key, name text not null, email text unique, score integer default 7, joined
 * timestamptz default now(), token uuid default gen_random_uuid(), nick varchar(5) default 'anon')
 */
extern const struct fh_table model_authors;
enum {
    AUTHOR_ID,
    AUTHOR_NAME,
    AUTHOR_EMAIL,
    AUTHOR_SCORE,
    AUTHOR_JOINED,
    AUTHOR_TOKEN,
    AUTHOR_NICK,
    AUTHOR_COUNT
};

/* books(title text, slug text, author_id bigint, price numeric(10,2), stock smallint, rating
 * double, sequel_author bigint, sequel_slug text, seen timestamptz, day date, weight real); key
 * (author_id, slug) -- not in column order; unique (author_id, title); author_id -> authors,
 * (sequel_author, sequel_slug) -> books */
extern const struct fh_table model_books;
enum {
    BOOK_TITLE,
    BOOK_SLUG,
    BOOK_AUTHOR,
    BOOK_PRICE,
    BOOK_STOCK,
    BOOK_RATING,
    BOOK_SEQUEL_AUTHOR,
    BOOK_SEQUEL_SLUG,
    BOOK_SEEN,
    BOOK_DAY,
    BOOK_WEIGHT,
    BOOK_COUNT
};

/* kinds(id integer key, one column of every type) */
extern const struct fh_table model_kinds;
enum {
    KIND_ID,
    KIND_BOOL,
    KIND_INT16,
    KIND_INT32,
    KIND_INT64,
    KIND_FLOAT32,
    KIND_FLOAT64,
    KIND_NUMERIC,  /* (18,6) */
    KIND_NUMERIC0, /* (5,0) */
    KIND_TEXT,
    KIND_VARCHAR, /* (5) */
    KIND_BYTES,
    KIND_TIMESTAMP,
    KIND_DATE,
    KIND_UUID,
    KIND_JSON,
    KIND_COUNT
};

/* tokens(id uuid key, tag text) */
extern const struct fh_table model_tokens;
enum { TOKEN_ID, TOKEN_TAG, TOKEN_COUNT };

/* codes(region text, number integer, label text); key (region, number) */
extern const struct fh_table model_codes;
enum { CODE_REGION, CODE_NUMBER, CODE_LABEL, CODE_COUNT };

/* slots(day date, at timestamptz, raw bytea, flag boolean, amount numeric(9,3), note text); key:
 * the first five */
extern const struct fh_table model_slots;
enum { SLOT_DAY, SLOT_AT, SLOT_RAW, SLOT_FLAG, SLOT_AMOUNT, SLOT_NOTE, SLOT_COUNT };

/* From version 2 on. reviews(id bigint key, book_author bigint, book_slug text) -> books; and a
 * second index on authors(name). */
extern const struct fh_table model_reviews;
enum { REVIEW_ID, REVIEW_AUTHOR, REVIEW_SLUG, REVIEW_COUNT };
extern const struct fh_table model_authors_v2;
extern const struct fh_table model_books_v2;

extern const struct fh_schema model_v1;
extern const struct fh_schema model_v2;

struct fh_key key_author(int64_t id);
struct fh_key key_book(int64_t author, const char *slug);
struct fh_key key_kind(int64_t id);
struct fh_key key_token(struct fh_uuid id);
struct fh_key key_code(const char *region, int64_t number);
/* UUID with these first and last bytes, zeros between: a and b of a test. */
struct fh_uuid uuid_of(uint8_t first, uint8_t last);
struct fh_value text_value(const char *text);
struct fh_value int_value(enum fh_type type, int64_t value);
struct fh_value real_value(enum fh_type type, double value);

#endif
