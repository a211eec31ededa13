/* Tokens: what is accepted, and a table of hostile ones, each refused for the reason expected. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/auth/verifier.h"
#include "tests/unit/server_auth/kit.h"

#define TOKEN_MAX 65536

#define H_RSA "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"rsa\"}"
#define H_EC "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"ec\"}"
#define H_ED "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}"
#define H_STAFF "{\"alg\":\"EdDSA\",\"kid\":\"staff\"}"

#define ISS "\"iss\":\"" KIT_ISSUER "\""
#define AUD "\"aud\":\"" KIT_AUDIENCE "\""
#define SUB "\"sub\":\"alice\""
#define EXP "\"exp\":1700000600"
#define TEN "\"tenant\":\"" KIT_TENANT "\""
#define ROL "\"roles\":[\"writer\"]"
/* Everything but one claim, and that one as the row wants it. */
#define GOOD "{" ISS "," AUD "," SUB "," EXP "," TEN "," ROL "}"
#define GOOD_AND(more) "{" ISS "," AUD "," SUB "," EXP "," TEN "," ROL "," more "}"
#define WITH_ISS(iss) "{" iss AUD "," SUB "," EXP "," TEN "," ROL "}"
#define WITH_AUD(aud) "{" ISS "," aud SUB "," EXP "," TEN "," ROL "}"
#define WITH_SUB(sub) "{" ISS "," AUD "," sub EXP "," TEN "," ROL "}"
#define WITH_EXP(exp) "{" ISS "," AUD "," SUB "," exp TEN "," ROL "}"
#define WITH_TEN(ten) "{" ISS "," AUD "," SUB "," EXP "," ten ROL "}"
#define WITH_ROL(rol) "{" ISS "," AUD "," SUB "," EXP "," rol TEN "}"
#define STAFF_AND(more)                                                                       \
    "{\"iss\":\"" KIT_OPERATOR_ISSUER "\",\"aud\":\"" KIT_OPERATOR_AUDIENCE "\"," SUB "," EXP \
    ",\"roles\":[\"operator\"]" more "}"
#define STAFF STAFF_AND("")
#define S50 "ssssssssssssssssssssssssssssssssssssssssssssssssss"
#define DEEP16 "[[[[[[[[[[[[[[[["
#define DEEP256                                                                                \
    DEEP16 DEEP16 DEEP16 DEEP16 DEEP16 DEEP16 DEEP16 DEEP16 DEEP16 DEEP16 DEEP16 DEEP16 DEEP16 \
        DEEP16 DEEP16 DEEP16

static struct kit kit;
static struct fh_verifier *verifier;
static struct fh_buf token;

struct row {
    const char *name;
    const char *header;
    const char *claims;
    enum kit_signer signer;
    enum fh_realm realm;
    const char *reason; /* a fragment of the message; of a good token: NULL */
    uint32_t roles;     /* of a good token */
};

static const struct row good[] = {
    {"RS256", H_RSA, GOOD, KIT_RSA, FH_REALM_TENANT, NULL, FH_ROLE_WRITER},
    {"ES256", H_EC, GOOD, KIT_EC, FH_REALM_TENANT, NULL, FH_ROLE_WRITER},
    {"EdDSA", H_ED, GOOD, KIT_ED, FH_REALM_TENANT, NULL, FH_ROLE_WRITER},
    {"operator", H_STAFF, STAFF, KIT_OPERATOR, FH_REALM_OPERATOR, NULL, FH_ROLE_OPERATOR},
    {"typ with its prefix", "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"typ\":\"Application/AT+JWT\"}",
     GOOD, KIT_ED, FH_REALM_TENANT, NULL, FH_ROLE_WRITER},
    {"aud among others", H_ED, WITH_AUD("\"aud\":[\"x\",\"" KIT_AUDIENCE "\",\"y\"],"), KIT_ED,
     FH_REALM_TENANT, NULL, FH_ROLE_WRITER},
    {"every role", H_ED, WITH_ROL("\"roles\":[\"reader\",\"writer\",\"admin\",\"admin\"],"), KIT_ED,
     FH_REALM_TENANT, NULL, FH_ROLE_READER | FH_ROLE_WRITER | FH_ROLE_ADMIN},
    {"unknown roles are no roles", H_ED, WITH_ROL("\"roles\":[\"root\",\"Writer\",\"\"],"), KIT_ED,
     FH_REALM_TENANT, NULL, 0},
    {"a tenant's \"operator\" is no role", H_ED, WITH_ROL("\"roles\":[\"operator\"],"), KIT_ED,
     FH_REALM_TENANT, NULL, 0},
    {"no roles", H_ED, WITH_ROL(""), KIT_ED, FH_REALM_TENANT, NULL, 0},
    {"unknown claims", H_ED, GOOD_AND("\"scope\":{\"a\":[1,null,true]},\"b\":1e3"), KIT_ED,
     FH_REALM_TENANT, NULL, FH_ROLE_WRITER},
    {"exp with a fraction", H_ED, WITH_EXP("\"exp\":1700000600.5,"), KIT_ED, FH_REALM_TENANT, NULL,
     FH_ROLE_WRITER},
    {"exp as a power", H_ED, WITH_EXP("\"exp\":1.7000006e9,"), KIT_ED, FH_REALM_TENANT, NULL,
     FH_ROLE_WRITER},
    {"exp within the leeway", H_ED, WITH_EXP("\"exp\":1699999971,"), KIT_ED, FH_REALM_TENANT, NULL,
     FH_ROLE_WRITER},
    {"nbf within the leeway", H_ED, GOOD_AND("\"nbf\":1700000030"), KIT_ED, FH_REALM_TENANT, NULL,
     FH_ROLE_WRITER},
    {"embedded keys are not looked at",
     "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"jku\":\"http://[::1]/\",\"x5u\":\"file:///\",\"jwk\":{},"
     "\"x5c\":[\"AA\"],\"b64\":false}",
     GOOD, KIT_ED, FH_REALM_TENANT, NULL, FH_ROLE_WRITER},
};

static const struct row hostile[] = {
    /* Algorithm. */
    {"alg none", "{\"alg\":\"none\",\"kid\":\"ed\"}", GOOD, KIT_NO_SIGNATURE, FH_REALM_TENANT,
     "unsigned tokens", 0},
    {"alg None", "{\"alg\":\"None\",\"kid\":\"ed\"}", GOOD, KIT_NO_SIGNATURE, FH_REALM_TENANT,
     "unsigned tokens", 0},
    {"alg NONE, signed", "{\"alg\":\"NONE\",\"kid\":\"ed\"}", GOOD, KIT_ED, FH_REALM_TENANT,
     "unsigned tokens", 0},
    {"alg nOnE", "{\"alg\":\"nOnE\"}", GOOD, KIT_NO_SIGNATURE, FH_REALM_TENANT, "unsigned tokens",
     0},
    {"alg empty", "{\"alg\":\"\",\"kid\":\"ed\"}", GOOD, KIT_ED, FH_REALM_TENANT, "alg is none of",
     0},
    {"alg missing", "{\"kid\":\"ed\"}", GOOD, KIT_ED, FH_REALM_TENANT, "no \"alg\"", 0},
    {"alg null", "{\"alg\":null,\"kid\":\"ed\"}", GOOD, KIT_ED, FH_REALM_TENANT, "no \"alg\"", 0},
    {"alg a list", "{\"alg\":[\"EdDSA\"],\"kid\":\"ed\"}", GOOD, KIT_ED, FH_REALM_TENANT,
     "no \"alg\"", 0},
    {"alg in lower case", "{\"alg\":\"rs256\",\"kid\":\"rsa\"}", GOOD, KIT_RSA, FH_REALM_TENANT,
     "alg is none of", 0},
    {"alg with a blank", "{\"alg\":\"RS256 \",\"kid\":\"rsa\"}", GOOD, KIT_RSA, FH_REALM_TENANT,
     "alg is none of", 0},
    {"RS512", "{\"alg\":\"RS512\",\"kid\":\"rsa\"}", GOOD, KIT_RSA_SHA512, FH_REALM_TENANT,
     "alg is none of", 0},
    {"PS256", "{\"alg\":\"PS256\",\"kid\":\"rsa\"}", GOOD, KIT_RSA_PSS, FH_REALM_TENANT,
     "alg is none of", 0},
    {"HMAC with the public PEM", "{\"alg\":\"HS256\",\"kid\":\"rsa\"}", GOOD, KIT_HMAC_PEM,
     FH_REALM_TENANT, "HMAC", 0},
    {"HMAC with the public point", "{\"alg\":\"HS256\",\"kid\":\"ed\"}", GOOD, KIT_HMAC_RAW,
     FH_REALM_TENANT, "HMAC", 0},
    {"hs256", "{\"alg\":\"hs256\",\"kid\":\"ed\"}", GOOD, KIT_HMAC_RAW, FH_REALM_TENANT, "HMAC", 0},
    {"HMAC that says RS256", H_RSA, GOOD, KIT_HMAC_PEM, FH_REALM_TENANT, "signature does not", 0},
    {"RS256 with the EC key's id", "{\"alg\":\"RS256\",\"kid\":\"ec\"}", GOOD, KIT_RSA,
     FH_REALM_TENANT, "not that of the key", 0},
    {"ES256 with the RSA key's id", "{\"alg\":\"ES256\",\"kid\":\"rsa\"}", GOOD, KIT_EC,
     FH_REALM_TENANT, "not that of the key", 0},
    {"EdDSA with the EC key's id", "{\"alg\":\"EdDSA\",\"kid\":\"ec\"}", GOOD, KIT_ED,
     FH_REALM_TENANT, "not that of the key", 0},
    {"ES256 with the Ed25519 key's id", "{\"alg\":\"ES256\",\"kid\":\"ed\"}", GOOD, KIT_EC,
     FH_REALM_TENANT, "not that of the key", 0},
    /* Header. */
    {"crit", "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"crit\":[\"exp\"]}", GOOD, KIT_ED, FH_REALM_TENANT,
     "\"crit\"", 0},
    {"crit b64", "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"b64\":false,\"crit\":[\"b64\"]}", GOOD,
     KIT_ED, FH_REALM_TENANT, "\"crit\"", 0},
    {"crit empty", "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"crit\":[]}", GOOD, KIT_ED, FH_REALM_TENANT,
     "\"crit\"", 0},
    {"crit null", "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"crit\":null}", GOOD, KIT_ED, FH_REALM_TENANT,
     "\"crit\"", 0},
    {"typ of an id token", "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"typ\":\"dpop+jwt\"}", GOOD, KIT_ED,
     FH_REALM_TENANT, "typ is not", 0},
    {"typ a number", "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"typ\":1}", GOOD, KIT_ED, FH_REALM_TENANT,
     "typ is not", 0},
    {"two algs", "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"alg\":\"none\"}", GOOD, KIT_ED,
     FH_REALM_TENANT, "header names a member twice", 0},
    {"two kids, one escaped", "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"\\u006bid\":\"ec\"}", GOOD,
     KIT_ED, FH_REALM_TENANT, "header names a member twice", 0},
    {"header a list", "[{\"alg\":\"EdDSA\",\"kid\":\"ed\"}]", GOOD, KIT_ED, FH_REALM_TENANT,
     "header is not a JSON object", 0},
    {"header with a tail", H_ED "{}", GOOD, KIT_ED, FH_REALM_TENANT, "header is not JSON", 0},
    {"header not JSON", "{alg:EdDSA}", GOOD, KIT_ED, FH_REALM_TENANT, "header is not JSON", 0},
    {"header not UTF-8", "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"x\":\"\xff\"}", GOOD, KIT_ED,
     FH_REALM_TENANT, "header is not JSON", 0},
    {"header with NUL", "{\"alg\":\"EdDSA\",\"kid\":\"ed\\u0000\"}", GOOD, KIT_ED, FH_REALM_TENANT,
     "header is not JSON", 0},
    {"header empty", "", GOOD, KIT_ED, FH_REALM_TENANT, "header is not base64url", 0},
    {"kid missing", "{\"alg\":\"EdDSA\"}", GOOD, KIT_ED, FH_REALM_TENANT, "no \"kid\"", 0},
    {"kid empty", "{\"alg\":\"EdDSA\",\"kid\":\"\"}", GOOD, KIT_ED, FH_REALM_TENANT, "no \"kid\"",
     0},
    {"kid a number", "{\"alg\":\"EdDSA\",\"kid\":1}", GOOD, KIT_ED, FH_REALM_TENANT, "no \"kid\"",
     0},
    {"kid too long", "{\"alg\":\"EdDSA\",\"kid\":\"" S50 S50 S50 S50 S50 S50 "\"}", GOOD, KIT_ED,
     FH_REALM_TENANT, "kid is too long", 0},
    {"kid unknown", "{\"alg\":\"EdDSA\",\"kid\":\"other\"}", GOOD, KIT_ED, FH_REALM_TENANT,
     "unknown key id", 0},
    {"kid a path", "{\"alg\":\"EdDSA\",\"kid\":\"../../dev/null\"}", GOOD, KIT_ED, FH_REALM_TENANT,
     "unknown key id", 0},
    {"kid a statement", "{\"alg\":\"EdDSA\",\"kid\":\"' or 1=1 --\"}", GOOD, KIT_ED,
     FH_REALM_TENANT, "unknown key id", 0},
    {"kid a prefix", "{\"alg\":\"EdDSA\",\"kid\":\"e\"}", GOOD, KIT_ED, FH_REALM_TENANT,
     "unknown key id", 0},
    {"kid of the other realm", H_STAFF, GOOD, KIT_OPERATOR, FH_REALM_TENANT, "unknown key id", 0},
    /* Signature. */
    {"a stranger's key", H_ED, GOOD, KIT_STRANGER, FH_REALM_TENANT, "signature does not", 0},
    {"a stranger's EC key", H_EC, GOOD, KIT_STRANGER_EC, FH_REALM_TENANT, "signature does not", 0},
    {"a stranger's RSA key", H_RSA, GOOD, KIT_STRANGER_RSA, FH_REALM_TENANT, "signature does not",
     0},
    {"a stranger's key, embedded",
     "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"jwk\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
     "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}}",
     GOOD, KIT_STRANGER, FH_REALM_TENANT, "signature does not", 0},
    {"no signature", H_ED, GOOD, KIT_NO_SIGNATURE, FH_REALM_TENANT, "no signature", 0},
    {"ES256 of zeros", H_EC, GOOD, KIT_ZERO_64, FH_REALM_TENANT, "signature does not", 0},
    {"EdDSA of zeros", H_ED, GOOD, KIT_ZERO_64, FH_REALM_TENANT, "signature does not", 0},
    {"RS256 too short", H_RSA, GOOD, KIT_ZERO_64, FH_REALM_TENANT, "signature does not", 0},
    {"ES256 in DER", H_EC, GOOD, KIT_EC_DER, FH_REALM_TENANT, "signature does not", 0},
    {"RS256 with PSS", H_RSA, GOOD, KIT_RSA_PSS, FH_REALM_TENANT, "signature does not", 0},
    {"RS256 with SHA-512", H_RSA, GOOD, KIT_RSA_SHA512, FH_REALM_TENANT, "signature does not", 0},
    /* Issuer and realm. */
    {"iss missing", H_ED, WITH_ISS(""), KIT_ED, FH_REALM_TENANT, "no iss", 0},
    {"iss a list", H_ED, WITH_ISS("\"iss\":[\"" KIT_ISSUER "\"],"), KIT_ED, FH_REALM_TENANT,
     "no iss", 0},
    {"iss unknown", H_ED, WITH_ISS("\"iss\":\"https://evil.example\","), KIT_ED, FH_REALM_TENANT,
     "unknown issuer", 0},
    {"iss with a slash more", H_ED, WITH_ISS("\"iss\":\"" KIT_ISSUER "/\","), KIT_ED,
     FH_REALM_TENANT, "unknown issuer", 0},
    {"iss empty", H_ED, WITH_ISS("\"iss\":\"\","), KIT_ED, FH_REALM_TENANT, "unknown issuer", 0},
    {"two issuers", H_ED, WITH_ISS("\"iss\":\"" KIT_OPERATOR_ISSUER "\"," ISS ","), KIT_ED,
     FH_REALM_TENANT, "payload names a member twice", 0},
    {"a tenant's at the operators'", H_ED, GOOD, KIT_ED, FH_REALM_OPERATOR,
     "a token of the tenant realm", 0},
    {"an operator's at the tenants'", H_STAFF, STAFF, KIT_OPERATOR, FH_REALM_TENANT,
     "a token of the operator realm", 0},
    {"a tenant key under the operators' issuer", H_ED, STAFF, KIT_ED, FH_REALM_OPERATOR,
     "unknown key id", 0},
    {"the same with the operators' kid", H_STAFF, STAFF, KIT_ED, FH_REALM_OPERATOR,
     "signature does not", 0},
    {"an operator with a tenant", H_STAFF, STAFF_AND("," TEN), KIT_OPERATOR, FH_REALM_OPERATOR,
     "must not name a tenant", 0},
    {"an operator with a null tenant", H_STAFF, STAFF_AND(",\"tenant\":null"), KIT_OPERATOR,
     FH_REALM_OPERATOR, "must not name a tenant", 0},
    /* Audience. */
    {"aud missing", H_ED, WITH_AUD(""), KIT_ED, FH_REALM_TENANT, "no aud", 0},
    {"aud of another", H_ED, WITH_AUD("\"aud\":\"other\","), KIT_ED, FH_REALM_TENANT,
     "another audience", 0},
    {"aud of the operators", H_ED, WITH_AUD("\"aud\":\"" KIT_OPERATOR_AUDIENCE "\","), KIT_ED,
     FH_REALM_TENANT, "another audience", 0},
    {"aud in another case", H_ED, WITH_AUD("\"aud\":\"Freehold-Test\","), KIT_ED, FH_REALM_TENANT,
     "another audience", 0},
    {"aud empty list", H_ED, WITH_AUD("\"aud\":[],"), KIT_ED, FH_REALM_TENANT, "another audience",
     0},
    {"aud an object", H_ED, WITH_AUD("\"aud\":{\"" KIT_AUDIENCE "\":1},"), KIT_ED, FH_REALM_TENANT,
     "aud is not", 0},
    {"aud with a number", H_ED, WITH_AUD("\"aud\":[\"" KIT_AUDIENCE "\",1],"), KIT_ED,
     FH_REALM_TENANT, "aud is not", 0},
    {"aud of 17", H_ED,
     WITH_AUD("\"aud\":[\"" KIT_AUDIENCE "\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\","
              "\"\",\"\",\"\",\"\",\"\",\"\"],"),
     KIT_ED, FH_REALM_TENANT, "aud has more than 16", 0},
    /* Times. */
    {"exp missing", H_ED, WITH_EXP(""), KIT_ED, FH_REALM_TENANT, "no exp", 0},
    {"exp a string", H_ED, WITH_EXP("\"exp\":\"1700000600\","), KIT_ED, FH_REALM_TENANT,
     "exp is not a number", 0},
    {"exp null", H_ED, WITH_EXP("\"exp\":null,"), KIT_ED, FH_REALM_TENANT, "exp is not a number",
     0},
    {"exp true", H_ED, WITH_EXP("\"exp\":true,"), KIT_ED, FH_REALM_TENANT, "exp is not a number",
     0},
    {"exp past the leeway", H_ED, WITH_EXP("\"exp\":1699999970,"), KIT_ED, FH_REALM_TENANT,
     "expired at 2023-11-14T22:12:50Z", 0},
    {"exp 0", H_ED, WITH_EXP("\"exp\":0,"), KIT_ED, FH_REALM_TENANT,
     "expired at 1970-01-01T00:00:00Z", 0},
    {"exp negative", H_ED, WITH_EXP("\"exp\":-1,"), KIT_ED, FH_REALM_TENANT, "exp is out of range",
     0},
    {"exp after year 9999", H_ED, WITH_EXP("\"exp\":253402300800,"), KIT_ED, FH_REALM_TENANT,
     "exp is out of range", 0},
    {"exp of int64", H_ED, WITH_EXP("\"exp\":9223372036854775807,"), KIT_ED, FH_REALM_TENANT,
     "exp is out of range", 0},
    {"exp beyond int64", H_ED, WITH_EXP("\"exp\":9223372036854775808,"), KIT_ED, FH_REALM_TENANT,
     "payload is not JSON", 0},
    {"exp 1e300", H_ED, WITH_EXP("\"exp\":1e300,"), KIT_ED, FH_REALM_TENANT, "exp is out of range",
     0},
    {"exp 1e999", H_ED, WITH_EXP("\"exp\":1e999,"), KIT_ED, FH_REALM_TENANT, "payload is not JSON",
     0},
    {"exp NaN", H_ED, WITH_EXP("\"exp\":NaN,"), KIT_ED, FH_REALM_TENANT, "payload is not JSON", 0},
    {"two exps", H_ED, WITH_EXP("\"exp\":1," EXP ","), KIT_ED, FH_REALM_TENANT,
     "payload names a member twice", 0},
    {"nbf to come", H_ED, GOOD_AND("\"nbf\":1700000031"), KIT_ED, FH_REALM_TENANT,
     "not valid before 2023-11-14T22:13:51Z", 0},
    {"nbf a string", H_ED, GOOD_AND("\"nbf\":\"0\""), KIT_ED, FH_REALM_TENANT,
     "nbf is not a number", 0},
    {"nbf negative", H_ED, GOOD_AND("\"nbf\":-1e300"), KIT_ED, FH_REALM_TENANT,
     "nbf is out of range", 0},
    {"iat a list", H_ED, GOOD_AND("\"iat\":[]"), KIT_ED, FH_REALM_TENANT, "iat is not a number", 0},
    /* Subject, tenant, roles. */
    {"sub missing", H_ED, WITH_SUB(""), KIT_ED, FH_REALM_TENANT, "sub is not", 0},
    {"sub empty", H_ED, WITH_SUB("\"sub\":\"\","), KIT_ED, FH_REALM_TENANT, "sub is not", 0},
    {"sub a number", H_ED, WITH_SUB("\"sub\":7,"), KIT_ED, FH_REALM_TENANT, "sub is not", 0},
    {"sub with a line end", H_ED, WITH_SUB("\"sub\":\"a\\nb\","), KIT_ED, FH_REALM_TENANT,
     "sub is not", 0},
    {"sub beyond ASCII", H_ED, WITH_SUB("\"sub\":\"z\xc3\xbc\","), KIT_ED, FH_REALM_TENANT,
     "sub is not", 0},
    {"sub with DEL", H_ED, WITH_SUB("\"sub\":\"a\\u007f\","), KIT_ED, FH_REALM_TENANT, "sub is not",
     0},
    {"sub of 201", H_ED, WITH_SUB("\"sub\":\"" S50 S50 S50 S50 "s\","), KIT_ED, FH_REALM_TENANT,
     "sub is not", 0},
    {"two subs", H_ED, GOOD_AND(SUB), KIT_ED, FH_REALM_TENANT, "payload names a member twice", 0},
    {"tenant missing", H_ED, WITH_TEN(""), KIT_ED, FH_REALM_TENANT, "has no tenant", 0},
    {"tenant a slug", H_ED, WITH_TEN("\"tenant\":\"acme\","), KIT_ED, FH_REALM_TENANT,
     "tenant is not a UUID", 0},
    {"tenant nil", H_ED, WITH_TEN("\"tenant\":\"00000000-0000-0000-0000-000000000000\","), KIT_ED,
     FH_REALM_TENANT, "tenant is not a UUID", 0},
    {"tenant in braces", H_ED, WITH_TEN("\"tenant\":\"{" KIT_TENANT "}\","), KIT_ED,
     FH_REALM_TENANT, "tenant is not a UUID", 0},
    {"tenants", H_ED, WITH_TEN("\"tenant\":[\"" KIT_TENANT "\"],"), KIT_ED, FH_REALM_TENANT,
     "tenant is not a UUID", 0},
    {"tenant null", H_ED, WITH_TEN("\"tenant\":null,"), KIT_ED, FH_REALM_TENANT,
     "tenant is not a UUID", 0},
    {"two tenants", H_ED, GOOD_AND("\"tenant\":\"0190c0de-1111-7222-8333-444455556667\""), KIT_ED,
     FH_REALM_TENANT, "payload names a member twice", 0},
    {"two tenants, one escaped", H_ED,
     GOOD_AND("\"ten\\u0061nt\":\"0190c0de-1111-7222-8333-444455556667\""), KIT_ED, FH_REALM_TENANT,
     "payload names a member twice", 0},
    {"roles a string", H_ED, WITH_ROL("\"roles\":\"admin\","), KIT_ED, FH_REALM_TENANT,
     "roles are not an array", 0},
    {"roles null", H_ED, WITH_ROL("\"roles\":null,"), KIT_ED, FH_REALM_TENANT,
     "roles are not an array", 0},
    {"a role a number", H_ED, WITH_ROL("\"roles\":[\"admin\",4],"), KIT_ED, FH_REALM_TENANT,
     "role of the token is not a string", 0},
    {"17 roles", H_ED,
     WITH_ROL("\"roles\":[\"admin\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\","
              "\"\",\"\",\"\",\"\"],"),
     KIT_ED, FH_REALM_TENANT, "more than 16 roles", 0},
    /* Payload as a whole. */
    {"payload empty", H_ED, "", KIT_ED, FH_REALM_TENANT, "payload is not base64url", 0},
    {"payload text", H_ED, "Example of Ed25519 signing", KIT_ED, FH_REALM_TENANT,
     "payload is not JSON", 0},
    {"payload null", H_ED, "null", KIT_ED, FH_REALM_TENANT, "payload is not a JSON object", 0},
    {"payload a list", H_ED, "[" GOOD "]", KIT_ED, FH_REALM_TENANT, "payload is not a JSON object",
     0},
    {"payload cut", H_ED, "{" ISS "," AUD, KIT_ED, FH_REALM_TENANT, "payload is not JSON", 0},
    {"payload twice", H_ED, GOOD GOOD, KIT_ED, FH_REALM_TENANT, "payload is not JSON", 0},
    {"a duplicate deep inside", H_ED, GOOD_AND("\"x\":[{\"y\":1,\"y\":2}]"), KIT_ED,
     FH_REALM_TENANT, "payload names a member twice", 0},
    {"payload deep", H_ED,
     GOOD_AND("\"x\":" DEEP256 DEEP256 DEEP256 DEEP256 DEEP256 DEEP256 DEEP256 DEEP256 DEEP256
                  DEEP256 DEEP256 DEEP256),
     KIT_ED, FH_REALM_TENANT, "payload is not JSON", 0},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        const struct row *row = &good[i];
        struct fh_principal principal;
        struct fh_error error;
        struct fh_uuid tenant = {{0}};
        kit_token(&kit, row->signer, row->header, row->claims, &token);
        const enum fh_code code =
            kit_verify(&kit, verifier, row->realm, fh_buf_str(&token), &principal, &error);
        if (code != FH_OK) {
            fail_msg("%s: %s", row->name, error.message);
        }
        if (row->realm == FH_REALM_TENANT) {
            assert_true(fh_uuid_parse(FH_STR(KIT_TENANT), &tenant));
        }
        assert_int_equal(principal.realm, row->realm);
        assert_int_equal(principal.roles, row->roles);
        assert_true(fh_uuid_eq(&principal.tenant, &tenant));
        assert_true(fh_str_eq(principal.subject, FH_STR("alice")));
        assert_true(principal.expires_at_us >= INT64_C(1699999971000000));
        assert_true(principal.expires_at_us <= INT64_C(1700000600500000));
    }
}

static void refused(const char *name, enum fh_realm realm, struct fh_str text, const char *reason)
{
    struct fh_principal principal;
    struct fh_error error;
    const enum fh_code code = kit_verify(&kit, verifier, realm, text, &principal, &error);
    if (code != FH_UNAUTHENTICATED || error.code != FH_UNAUTHENTICATED ||
        strstr(error.message, reason) == NULL) {
        fail_msg("%s: code %s, message \"%s\", expected \"%s\"", name, fh_code_name(code),
                 error.message, reason);
    }
    /* Nobody came out, and nothing of the token went into the message. */
    assert_int_equal(principal.realm, 0);
    assert_int_equal(principal.roles, 0);
    assert_int_equal(principal.subject.len, 0);
    for (size_t i = 0; text.len >= 24 && i + 24 <= text.len; i += 8) {
        char piece[25];
        memcpy(piece, text.data + i, 24);
        piece[24] = '\0';
        assert_null(strstr(error.message, piece));
    }
}

static void test_hostile(void **state)
{
    (void)state;
    assert_true(COUNT(hostile) >= 60);
    for (size_t i = 0; i < COUNT(hostile); i++) {
        const struct row *row = &hostile[i];
        kit_token(&kit, row->signer, row->header, row->claims, &token);
        refused(row->name, row->realm, fh_buf_str(&token), row->reason);
    }
    print_message("%zu hostile tokens\n", COUNT(hostile));
}

/* Damage done to the text of a good token. */
static void test_text(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *format; /* %1$s header, %2$s payload, %3$s signature */
        const char *reason;
    } rows[] = {
        {"one part", "%1$s", "three parts"},
        {"two parts", "%1$s.%2$s", "three parts"},
        {"four parts", "%1$s.%2$s.%3$s.", "three parts"},
        {"five parts (encrypted)", "%1$s.%2$s.%3$s.%1$s.%2$s", "three parts"},
        {"only dots", "..", "header is not base64url"},
        {"padding", "%1$s.%2$s.%3$s==", "signature is not base64url"},
        {"blank in front", " %1$s.%2$s.%3$s", "header is not base64url"},
        {"blank behind", "%1$s.%2$s.%3$s ", "signature is not base64url"},
        {"line end inside", "%1$s.%2$s\n.%3$s", "payload is not base64url"},
        {"plus", "%1$s.%2$s.+%3$s", "signature is not base64url"},
        {"slash", "/%1$s.%2$s.%3$s", "header is not base64url"},
        {"parts swapped", "%2$s.%1$s.%3$s", "no \"alg\""},
        {"a payload repeated", "%1$s.%2$s%2$s.%3$s", "payload is not"},
        {"signature doubled", "%1$s.%2$s.%3$s%3$s", "signature"},
        {"scheme twice", "Bearer %1$s.%2$s.%3$s", "header is not base64url"},
        {"JSON serialization", "{\"protected\":\"%1$s\",\"payload\":\"%2$s\"}", "three parts"},
    };
    char parts[3][2048];
    char text[8192];
    kit_token(&kit, KIT_ED, H_ED, GOOD, &token);
    assert_int_equal(sscanf(token.data, "%2047[^.].%2047[^.].%2047s", parts[0], parts[1], parts[2]),
                     3);
    for (size_t i = 0; i < COUNT(rows); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(text, sizeof(text), rows[i].format, parts[0], parts[1], parts[2]);
#pragma GCC diagnostic pop
        refused(rows[i].name, FH_REALM_TENANT, fh_str_of(text), rows[i].reason);
    }
    refused("empty", FH_REALM_TENANT, FH_STR(""), "is empty");
    refused("NUL bytes", FH_REALM_TENANT, FH_STR("\0\0.\0.\0"), "header is not base64url");
}

static void test_size(void **state)
{
    (void)state;
    static char claims[16384];
    static char padding[16384];
    struct fh_principal principal;
    struct fh_error error;
    bool accepted = false;
    memset(padding, 'p', sizeof(padding));
    /* The largest that fits is accepted, one step (three bytes make four) more is not. */
    for (int pad = 5700; pad < 6000; pad += 3) {
        (void)snprintf(claims, sizeof(claims), GOOD_AND("\"pad\":\"%.*s\""), pad, padding);
        kit_token(&kit, KIT_ED, H_ED, claims, &token);
        if (token.len > FH_TOKEN_BYTES_MAX) {
            refused("too long", FH_REALM_TENANT, fh_buf_str(&token), "longer than 8192 bytes");
            assert_true(accepted);
            continue;
        }
        assert_int_equal(
            kit_verify(&kit, verifier, FH_REALM_TENANT, fh_buf_str(&token), &principal, &error),
            FH_OK);
        accepted = true;
    }
    char *huge = test_malloc(1 << 20);
    memset(huge, '.', 1 << 20);
    refused("a megabyte of dots", FH_REALM_TENANT, (struct fh_str){.data = huge, .len = 1 << 20},
            "longer than 8192 bytes");
    test_free(huge);
    (void)snprintf(claims, sizeof(claims), GOOD);
    kit_token(&kit, KIT_ED, H_ED, claims, &token);
    for (int i = 0; i < 2000; i++) {
        fh_buf_add_char(&token, 'A');
    }
    refused("signature too long", FH_REALM_TENANT, fh_buf_str(&token), "signature is too long");
}

/* No single changed character, and no cut, of a good token is accepted. */
static void test_every_character(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        enum kit_signer signer;
    } rows[] = {{H_RSA, KIT_RSA}, {H_EC, KIT_EC}, {H_ED, KIT_ED}};
    struct fh_principal principal;
    struct fh_error error;
    for (size_t i = 0; i < COUNT(rows); i++) {
        kit_token(&kit, rows[i].signer, rows[i].header, GOOD, &token);
        for (size_t at = 0; at < token.len; at++) {
            const char kept = token.data[at];
            token.data[at] = kept == 'A' ? 'B' : 'A';
            assert_int_equal(
                kit_verify(&kit, verifier, FH_REALM_TENANT, fh_buf_str(&token), &principal, &error),
                FH_UNAUTHENTICATED);
            token.data[at] = kept;
            const struct fh_str cut = {.data = token.data, .len = at};
            assert_int_equal(kit_verify(&kit, verifier, FH_REALM_TENANT, cut, &principal, &error),
                             FH_UNAUTHENTICATED);
        }
        assert_int_equal(
            kit_verify(&kit, verifier, FH_REALM_TENANT, fh_buf_str(&token), &principal, &error),
            FH_OK);
    }
}

static int open_all(void **state)
{
    (void)state;
    kit_open(&kit);
    verifier = kit_verifier(&kit, 64);
    fh_buf_init(&token, TOKEN_MAX);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fh_buf_close(&token);
    fh_verifier_destroy(verifier);
    kit_close(&kit);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_every_character),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
