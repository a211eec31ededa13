/* The list of code.h as tables. Nothing can fail; a number outside the list reads as FH_INTERNAL,
 * so that a corrupt code never becomes an index. */
#include "base/code.h"

struct code_info {
    const char *name;
    const char *reason;
    const char *text;
    int grpc_status;
};

static const struct code_info codes[FH_CODE_COUNT] = {
#define CODE_INFO(name_, reason_, grpc_, text_) \
    [FH_##name_] = {.name = #name_, .reason = reason_, .text = text_, .grpc_status = grpc_},
    FH_CODES(CODE_INFO)
#undef CODE_INFO
};

static const struct code_info *info_of(enum fh_code code)
{
    /* Through an unsigned type, so that a negative number is out of range too. */
    unsigned index = (unsigned)code;
    return &codes[index < FH_CODE_COUNT ? index : FH_INTERNAL];
}

const char *fh_code_name(enum fh_code code)
{
    return info_of(code)->name;
}

const char *fh_code_reason(enum fh_code code)
{
    return info_of(code)->reason;
}

const char *fh_code_text(enum fh_code code)
{
    return info_of(code)->text;
}

int fh_code_grpc_status(enum fh_code code)
{
    return info_of(code)->grpc_status;
}
