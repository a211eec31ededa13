#include "server/handlers/refusal.h"

void fh_call_fail_as(struct fh_call *call, enum fh_code code, struct fh_error *error)
{
    if (error->code != code) { /* the text of another refusal would mislead */
        *error = (struct fh_error){.code = code};
    }
    fh_call_fail(call, error);
}

void fh_call_fail_unanswered(struct fh_call *call, enum fh_code code)
{
    struct fh_error error = FH_ERROR_INIT;
    (void)fh_error_set(&error, FH_OUTCOME_UNKNOWN,
                       "it is done, but the answer could not be built (%s); read what you need",
                       fh_code_text(code));
    fh_call_fail(call, &error);
}
