#include "tests/conformance/model.h"

#define NAME(text)                               \
    {                                            \
        .data = "" text, .len = sizeof(text) - 1 \
    }

static const struct fh_column author_columns[] = {
    {.name = NAME("id"),
     .type = FH_TYPE_INT64,
     .not_null = true,
     .position = AUTHOR_ID,
     .id = AUTHOR_ID},
    {.name = NAME("name"),
     .type = FH_TYPE_TEXT,
     .not_null = true,
     .position = AUTHOR_NAME,
     .id = AUTHOR_NAME},
    {.name = NAME("email"), .type = FH_TYPE_TEXT, .position = AUTHOR_EMAIL, .id = AUTHOR_EMAIL},
    {.name = NAME("score"),
     .type = FH_TYPE_INT32,
     .default_kind = FH_DEFAULT_CONSTANT,
     .default_value = {.type = FH_TYPE_INT32, .as.integer = 7},
     .position = AUTHOR_SCORE,
     .id = AUTHOR_SCORE},
    {.name = NAME("joined"),
     .type = FH_TYPE_TIMESTAMP,
     .default_kind = FH_DEFAULT_NOW,
     .position = AUTHOR_JOINED,
     .id = AUTHOR_JOINED},
    {.name = NAME("token"),
     .type = FH_TYPE_UUID,
     .default_kind = FH_DEFAULT_UUID,
     .position = AUTHOR_TOKEN,
     .id = AUTHOR_TOKEN},
    {.name = NAME("nick"),
     .type = FH_TYPE_TEXT,
     .length_max = 5,
     .default_kind = FH_DEFAULT_CONSTANT,
     .default_value = {.type = FH_TYPE_TEXT, .as.bytes = NAME("anon")},
     .position = AUTHOR_NICK,
     .id = AUTHOR_NICK},
};

static const struct fh_index author_indexes[] = {
    {.name = NAME("authors_email"),
     .id = AUTHOR_COUNT,
     .unique = true,
     .column_count = 1,
     .columns = {AUTHOR_EMAIL}},
    {.name = NAME("authors_name"),
     .id = AUTHOR_COUNT + 1,
     .column_count = 1,
     .columns = {AUTHOR_NAME}},
};

#define AUTHORS(indexes_, next_id_)                                              \
    {                                                                            \
        .name = NAME("authors"), .position = 0, .id = 0, .next_id = (next_id_),  \
        .column_count = AUTHOR_COUNT, .key_count = 1, .index_count = (indexes_), \
        .columns = author_columns, .key = {AUTHOR_ID}, .indexes = author_indexes \
    }

const struct fh_table model_authors = AUTHORS(1, AUTHOR_COUNT + 1);
const struct fh_table model_authors_v2 = AUTHORS(2, AUTHOR_COUNT + 2);

static const struct fh_column book_columns[] = {
    {.name = NAME("title"), .type = FH_TYPE_TEXT, .position = BOOK_TITLE, .id = BOOK_TITLE},
    {.name = NAME("slug"),
     .type = FH_TYPE_TEXT,
     .not_null = true,
     .position = BOOK_SLUG,
     .id = BOOK_SLUG},
    {.name = NAME("author_id"),
     .type = FH_TYPE_INT64,
     .not_null = true,
     .position = BOOK_AUTHOR,
     .id = BOOK_AUTHOR},
    {.name = NAME("price"),
     .type = FH_TYPE_NUMERIC,
     .precision = 10,
     .scale = 2,
     .position = BOOK_PRICE,
     .id = BOOK_PRICE},
    {.name = NAME("stock"), .type = FH_TYPE_INT16, .position = BOOK_STOCK, .id = BOOK_STOCK},
    {.name = NAME("rating"), .type = FH_TYPE_FLOAT64, .position = BOOK_RATING, .id = BOOK_RATING},
    {.name = NAME("sequel_author"),
     .type = FH_TYPE_INT64,
     .position = BOOK_SEQUEL_AUTHOR,
     .id = BOOK_SEQUEL_AUTHOR},
    {.name = NAME("sequel_slug"),
     .type = FH_TYPE_TEXT,
     .position = BOOK_SEQUEL_SLUG,
     .id = BOOK_SEQUEL_SLUG},
    {.name = NAME("seen"), .type = FH_TYPE_TIMESTAMP, .position = BOOK_SEEN, .id = BOOK_SEEN},
    {.name = NAME("day"), .type = FH_TYPE_DATE, .position = BOOK_DAY, .id = BOOK_DAY},
    {.name = NAME("weight"), .type = FH_TYPE_FLOAT32, .position = BOOK_WEIGHT, .id = BOOK_WEIGHT},
};

static const struct fh_index book_indexes[] = {
    {.name = NAME("books_title"),
     .id = BOOK_COUNT,
     .unique = true,
     .column_count = 2,
     .columns = {BOOK_AUTHOR, BOOK_TITLE}},
};

/* The same in both versions, but each leads to its own version's tables. */
#define BOOK_REFERENCES(authors, books)                          \
    {                                                            \
        {.name = NAME("books_author"),                           \
         .id = BOOK_COUNT + 1,                                   \
         .target = (authors),                                    \
         .column_count = 1,                                      \
         .columns = {BOOK_AUTHOR}},                              \
            {.name = NAME("books_sequel"),                       \
             .id = BOOK_COUNT + 2,                               \
             .target = (books),                                  \
             .column_count = 2,                                  \
             .columns = {BOOK_SEQUEL_AUTHOR, BOOK_SEQUEL_SLUG}}, \
    }
static const struct fh_foreign_key book_references[] =
    BOOK_REFERENCES(&model_authors, &model_books);
static const struct fh_foreign_key book_references_v2[] =
    BOOK_REFERENCES(&model_authors_v2, &model_books_v2);

#define BOOKS(references)                                                                     \
    {                                                                                         \
        .name = NAME("books"), .position = 1, .id = 1, .next_id = BOOK_COUNT + 3,             \
        .column_count = BOOK_COUNT, .key_count = 2, .index_count = 1, .foreign_key_count = 2, \
        .columns = book_columns, .key = {BOOK_AUTHOR, BOOK_SLUG}, .indexes = book_indexes,    \
        .foreign_keys = (references)                                                          \
    }

const struct fh_table model_books = BOOKS(book_references);
const struct fh_table model_books_v2 = BOOKS(book_references_v2);

static const struct fh_column kind_columns[] = {
    {.name = NAME("id"),
     .type = FH_TYPE_INT32,
     .not_null = true,
     .position = KIND_ID,
     .id = KIND_ID},
    {.name = NAME("k_bool"), .type = FH_TYPE_BOOL, .position = KIND_BOOL, .id = KIND_BOOL},
    {.name = NAME("k_int16"), .type = FH_TYPE_INT16, .position = KIND_INT16, .id = KIND_INT16},
    {.name = NAME("k_int32"), .type = FH_TYPE_INT32, .position = KIND_INT32, .id = KIND_INT32},
    {.name = NAME("k_int64"), .type = FH_TYPE_INT64, .position = KIND_INT64, .id = KIND_INT64},
    {.name = NAME("k_float32"),
     .type = FH_TYPE_FLOAT32,
     .position = KIND_FLOAT32,
     .id = KIND_FLOAT32},
    {.name = NAME("k_float64"),
     .type = FH_TYPE_FLOAT64,
     .position = KIND_FLOAT64,
     .id = KIND_FLOAT64},
    {.name = NAME("k_numeric"),
     .type = FH_TYPE_NUMERIC,
     .precision = 18,
     .scale = 6,
     .position = KIND_NUMERIC,
     .id = KIND_NUMERIC},
    {.name = NAME("k_numeric0"),
     .type = FH_TYPE_NUMERIC,
     .precision = 5,
     .scale = 0,
     .position = KIND_NUMERIC0,
     .id = KIND_NUMERIC0},
    {.name = NAME("k_text"), .type = FH_TYPE_TEXT, .position = KIND_TEXT, .id = KIND_TEXT},
    {.name = NAME("k_varchar"),
     .type = FH_TYPE_TEXT,
     .length_max = 5,
     .position = KIND_VARCHAR,
     .id = KIND_VARCHAR},
    {.name = NAME("k_bytes"), .type = FH_TYPE_BYTES, .position = KIND_BYTES, .id = KIND_BYTES},
    {.name = NAME("k_timestamp"),
     .type = FH_TYPE_TIMESTAMP,
     .position = KIND_TIMESTAMP,
     .id = KIND_TIMESTAMP},
    {.name = NAME("k_date"), .type = FH_TYPE_DATE, .position = KIND_DATE, .id = KIND_DATE},
    {.name = NAME("k_uuid"), .type = FH_TYPE_UUID, .position = KIND_UUID, .id = KIND_UUID},
    {.name = NAME("k_json"), .type = FH_TYPE_JSON, .position = KIND_JSON, .id = KIND_JSON},
};

const struct fh_table model_kinds = {.name = NAME("kinds"),
                                     .position = 2,
                                     .id = 2,
                                     .next_id = KIND_COUNT,
                                     .has_rowid = true,
                                     .column_count = KIND_COUNT,
                                     .key_count = 1,
                                     .columns = kind_columns,
                                     .key = {KIND_ID}};

static const struct fh_column token_columns[] = {
    {.name = NAME("id"),
     .type = FH_TYPE_UUID,
     .not_null = true,
     .position = TOKEN_ID,
     .id = TOKEN_ID},
    {.name = NAME("tag"), .type = FH_TYPE_TEXT, .position = TOKEN_TAG, .id = TOKEN_TAG},
};

const struct fh_table model_tokens = {.name = NAME("tokens"),
                                      .position = 3,
                                      .id = 3,
                                      .next_id = TOKEN_COUNT,
                                      .column_count = TOKEN_COUNT,
                                      .key_count = 1,
                                      .columns = token_columns,
                                      .key = {TOKEN_ID}};

static const struct fh_column code_columns[] = {
    {.name = NAME("region"),
     .type = FH_TYPE_TEXT,
     .not_null = true,
     .position = CODE_REGION,
     .id = CODE_REGION},
    {.name = NAME("number"),
     .type = FH_TYPE_INT32,
     .not_null = true,
     .position = CODE_NUMBER,
     .id = CODE_NUMBER},
    {.name = NAME("label"), .type = FH_TYPE_TEXT, .position = CODE_LABEL, .id = CODE_LABEL},
};

const struct fh_table model_codes = {.name = NAME("codes"),
                                     .position = 4,
                                     .id = 4,
                                     .next_id = CODE_COUNT,
                                     .column_count = CODE_COUNT,
                                     .key_count = 2,
                                     .columns = code_columns,
                                     .key = {CODE_REGION, CODE_NUMBER}};

static const struct fh_column slot_columns[] = {
    {.name = NAME("day"),
     .type = FH_TYPE_DATE,
     .not_null = true,
     .position = SLOT_DAY,
     .id = SLOT_DAY},
    {.name = NAME("at"),
     .type = FH_TYPE_TIMESTAMP,
     .not_null = true,
     .position = SLOT_AT,
     .id = SLOT_AT},
    {.name = NAME("raw"),
     .type = FH_TYPE_BYTES,
     .not_null = true,
     .position = SLOT_RAW,
     .id = SLOT_RAW},
    {.name = NAME("flag"),
     .type = FH_TYPE_BOOL,
     .not_null = true,
     .position = SLOT_FLAG,
     .id = SLOT_FLAG},
    {.name = NAME("amount"),
     .type = FH_TYPE_NUMERIC,
     .precision = 9,
     .scale = 3,
     .not_null = true,
     .position = SLOT_AMOUNT,
     .id = SLOT_AMOUNT},
    {.name = NAME("note"), .type = FH_TYPE_TEXT, .position = SLOT_NOTE, .id = SLOT_NOTE},
};

const struct fh_table model_slots = {.name = NAME("slots"),
                                     .position = 5,
                                     .id = 5,
                                     .next_id = SLOT_COUNT,
                                     .has_rowid = true,
                                     .column_count = SLOT_COUNT,
                                     .key_count = 5,
                                     .columns = slot_columns,
                                     .key = {SLOT_DAY, SLOT_AT, SLOT_RAW, SLOT_FLAG, SLOT_AMOUNT}};

static const struct fh_column review_columns[] = {
    {.name = NAME("id"),
     .type = FH_TYPE_INT64,
     .not_null = true,
     .position = REVIEW_ID,
     .id = REVIEW_ID},
    {.name = NAME("book_author"),
     .type = FH_TYPE_INT64,
     .position = REVIEW_AUTHOR,
     .id = REVIEW_AUTHOR},
    {.name = NAME("book_slug"), .type = FH_TYPE_TEXT, .position = REVIEW_SLUG, .id = REVIEW_SLUG},
};

static const struct fh_foreign_key review_references[] = {
    {.name = NAME("reviews_book"),
     .id = REVIEW_COUNT,
     .target = &model_books_v2,
     .column_count = 2,
     .columns = {REVIEW_AUTHOR, REVIEW_SLUG}},
};

const struct fh_table model_reviews = {.name = NAME("reviews"),
                                       .position = 6,
                                       .id = 6,
                                       .next_id = REVIEW_COUNT + 1,
                                       .column_count = REVIEW_COUNT,
                                       .key_count = 1,
                                       .foreign_key_count = 1,
                                       .columns = review_columns,
                                       .key = {REVIEW_ID},
                                       .foreign_keys = review_references};

static const struct fh_table *const tables_v1[] = {&model_authors, &model_books, &model_kinds,
                                                   &model_tokens,  &model_codes, &model_slots};
static const struct fh_table *const tables_v2[] = {&model_authors_v2, &model_books_v2, &model_kinds,
                                                   &model_tokens,     &model_codes,    &model_slots,
                                                   &model_reviews};

const struct fh_schema model_v1 = {
    .version = 1, .next_id = 6, .table_count = 6, .tables = tables_v1};
const struct fh_schema model_v2 = {
    .version = 2, .next_id = 7, .table_count = 7, .tables = tables_v2, .previous = &model_v1};

struct fh_value text_value(const char *text)
{
    return (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = fh_str_of(text)};
}

struct fh_value int_value(enum fh_type type, int64_t value)
{
    return (struct fh_value){.type = type, .as.integer = value};
}

struct fh_value real_value(enum fh_type type, double value)
{
    return (struct fh_value){.type = type, .as.real = value};
}

struct fh_key key_author(int64_t id)
{
    return (struct fh_key){.table = &model_authors, .values = {int_value(FH_TYPE_INT64, id)}};
}

struct fh_key key_book(int64_t author, const char *slug)
{
    return (struct fh_key){.table = &model_books,
                           .values = {int_value(FH_TYPE_INT64, author), text_value(slug)}};
}

struct fh_key key_kind(int64_t id)
{
    return (struct fh_key){.table = &model_kinds, .values = {int_value(FH_TYPE_INT32, id)}};
}

struct fh_key key_token(struct fh_uuid id)
{
    return (struct fh_key){.table = &model_tokens,
                           .values = {{.type = FH_TYPE_UUID, .as.uuid = id}}};
}

struct fh_key key_code(const char *region, int64_t number)
{
    return (struct fh_key){.table = &model_codes,
                           .values = {text_value(region), int_value(FH_TYPE_INT32, number)}};
}

struct fh_uuid uuid_of(uint8_t first, uint8_t last)
{
    struct fh_uuid uuid = {{0}};
    uuid.bytes[0] = first;
    uuid.bytes[6] = 0x70; /* looks like version 7 */
    uuid.bytes[8] = 0x80;
    uuid.bytes[15] = last;
    return uuid;
}
