/* sign_jwks_test.c - tokens signed with public keys: those of the list verify, all else is refused.
 * Keys and tokens were made with PyJWT.
 */
#include "test/cmocka.h"

#include "sign.h"

#include <string.h>

static const char list[] =
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"m5-x2OHcPLV75jvpKyFL"
    "i7xsk8X6DixlO-kVuev-jkc\",\"y\":\"ijhgBwjapH86ZUCejNSvp1j5ceacPv"
    "shRyvfDvbFrdk\",\"kid\":\"ec1\",\"use\":\"sig\",\"alg\":\"ES256\"},{\"kty\""
    ":\"RSA\",\"n\":\"mztV4yTCuIOM9y7kX7pF0aLg3EAYWYH3y8Wf4hv957gs6xIS"
    "QbUJg2e9SG-MlQD7IEKT8yHB6hD-2-ElZ49aI6LmlXosXhVNYx1OdgUx_0oM"
    "09CUM5bRFQFSGQjQ5V2F3g8g5EIfBkvwn7KqtZQpxD-Ub7tAburYKjssqghF"
    "9pZSDwQpGeAwXovZyb1D0BeV6uluuSqxB7qJhTPNaEsFSGoBJMqfwE04mwSZ"
    "tyHKmFmUBg4zbg593TmiCIyyJOqUNKc7WZt74oZhTdSveJ7B5nUfNG0eKNN4"
    "qKZR5v4l9Dtwf6qJFVLjFFA6o5rXpzlzzZpam_B5GlGFMZ0x-WChLw\",\"e\":"
    "\"AQAB\",\"kid\":\"rsa1\",\"alg\":\"RS256\"},{\"kty\":\"RSA\",\"n\":\"s65MHbm"
    "enarM3wzVUfSrG9HxnZYPhb1h9ZbLldxvnFOXnqYIr75EcyCIMuHiKpmXjdv"
    "MFhhp4v3FrZVZrTU0-C5o52pbFGYY04wMDhNlYAOY86U0XgLVO2-ZYx67c5-"
    "SgEUiqRVomajP8GFfPRO-ZgeFBbc3xhnVZB8TGgGWZaU\",\"e\":\"AQAB\",\"ki"
    "d\":\"short\"},{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"UAWhWKFYF2U52r_tF"
    "jVkhiF3-_Wj0q-dO7R9xNVAX74iNC1rVmDljE62u5o_Q5ZH\",\"y\":\"Am_iiU"
    "cwczZPIG6iOlKNfZqlk-cOPMsvLYej5VC2Pa5XJiVyokzynMq8LbKhC6e0\","
    "\"kid\":\"p384\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"m5-x2OHcPLV75jv"
    "pKyFLi7xsk8X6DixlO-kVuev-jkc\",\"y\":\"ijhgBwjapH86ZUCejNSvp1j5c"
    "eacPvshRyvfDvbFrdk\",\"kid\":\"enc\",\"use\":\"enc\"},{\"kty\":\"oct\",\"k"
    "id\":\"oct\",\"k\":\"c2VjcmV0\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"b"
    "ad\",\"x\":\"AA\",\"y\":\"AA\"}]}";
static const char es[] = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjMSIsInR5cCI6IkpXVCJ9.eyJzdWI"
                         "iOiJ1IiwiZXhwIjo0MTAyNDQ0ODAwfQ.GdG3G1dk9zo0hCCSlg2RhQGTbJpS"
                         "rDw9zgZH4If-FWEtSiikI2vO7bt20Ffc85VW5sVUlN4-pM2mCJ7EVI11lQ";
static const char rs[] = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYTEiLCJ0eXAiOiJKV1QifQ.eyJzd"
                         "WIiOiJ1IiwiZXhwIjo0MTAyNDQ0ODAwfQ.dcDycVE5VOOWBycrw9wYRmtHSU"
                         "zlEH8_pf2JPkp9VFON_iWRu43Nc9YDwRLSmRPeUatPY-Rdx4XYptV0z58OFw"
                         "NWo5SVsAnkAVSUGUeZr8mCdmnow6H8ilDjCdIvZUfrBkIWUfSw-1WwBjW2pq"
                         "rwizqAHng3J57no8vv2RZyJ1tpHf4kvP7TIdv_2-4BfBZidp6fR5Yz3Kzn_d"
                         "i_qiuAvViF8y-D6YWXBTsFgPqjvfFuFGg63dMrpxF8lgyWJbaU5LB14-490i"
                         "RRO8Or7QpifMCuCbmkiq9CWvVDjrEuvQjAUqT4_m2PhisFwzdB1ZQ11sjJOn"
                         "CBFdwgLgEvVomWaQ";
static const char es_no_kid[] = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1IiwiZXhwIjo"
                                "0MTAyNDQ0ODAwfQ.cQIbBfDviRi5uzQ1BDL18TigqLcjSQGwwuHMk_eK2qzf"
                                "Fc87pFpX8SO16aOShdNiIWCobwST5LH_J2ZeTpXM0g";
static const char unknown[] = "eyJhbGciOiJFUzI1NiIsImtpZCI6Im90aGVyIiwidHlwIjoiSldUIn0.eyJz"
                              "dWIiOiJ1IiwiZXhwIjo0MTAyNDQ0ODAwfQ.myr9QLLXajIpEP9B4UjX2ligB"
                              "5PcmAJr_lmTMlnVLpt6fLOcOCfOPYO5Cn713kDGp5FhwgSZ7AypUbSrIfNnU"
                              "A";
static const char wrong_key[] = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjMSIsInR5cCI6IkpXVCJ9.eyJzdWI"
                                "iOiJ1IiwiZXhwIjo0MTAyNDQ0ODAwfQ.GiAJPRFTURTNFVP1Zi9pFG5OtAiq"
                                "3ZZGakKMkEczbljzIWjt4ogyDSyUZ08K6ubF7Skc80ceDbJ3LZYDyXgwwQ";
static const char rs512[] = "eyJhbGciOiJSUzUxMiIsImtpZCI6InJzYTEiLCJ0eXAiOiJKV1QifQ.eyJzd"
                            "WIiOiJ1IiwiZXhwIjo0MTAyNDQ0ODAwfQ.CVm5nBqPPVgRCkzuwy476fk7IQ"
                            "1c_Q86EtTriS9EP05XTTiuJj9uhD7dthCNFf5cK4fbbj4gZJWL2OuYZc2_BT"
                            "iOfkPPU_m5Ke_j4r-8D9oLLAjGMgXanaEMEhJCVhgoCZpNITVuNEVII7ctBo"
                            "uRWncP2pUHdajs9FofFUCAcHRDBT7fmJD7T5SIZ1NWu5YBGIxzoa5H2L_mYL"
                            "nDJVbqf0_XdQFcZODpLocMqlDHh3SqeV8XYcz9sVW2iWMRMWFBTqYmYfU6pm"
                            "QWOqkBJlFTgjc7BmQezcQMyInfe4vPuVYS3mk2Tq0aX4nfoG8OA_TFxKqEJz"
                            "Mk6d9ldmuPlUDHtg";
static const char late[] = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjMSIsInR5cCI6IkpXVCJ9.eyJleHA"
                           "iOjEwMDB9.2F51yt9tBLzQ0VXRHUsHHcIE_11pW5pIJ5tTMJQmoQzz0S4L05"
                           "RzM_NnIhwbcmqe2HBUIWiW7kuA_xB42lfrMA";
static const char no_exp[] = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjMSIsInR5cCI6IkpXVCJ9.eyJzdWI"
                             "iOiJ1In0.IGju3gNPlOTMazJvSH6WTzDugcNVuQ7l3nLhDD8ONfVuEMu6dpj"
                             "GvuB0jsqTmdP00AhR2NSWf3MOFfPlJeyjcg";
static const char crit[] = "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogImVjMSIsICJjcml0IjogWyJiIl19"
                           ".eyJzdWIiOiAidSIsICJleHAiOiA0MTAyNDQ0ODAwfQ.tFvMTcDNrXqDKrFh"
                           "hyvjgYXPXAndwgLsIBl3G7ElWm5xRIEOKtgQi9MZMnFBa_ATalX_iJlRUw1B"
                           "q_D-SR38EA";
static const char confused[] = "eyJhbGciOiAiSFMyNTYiLCAia2lkIjogInJzYTEifQ.eyJzdWIiOiAidSIsI"
                               "CJleHAiOiA0MTAyNDQ0ODAwfQ.ZhDYjr9_xgbkUmYFTtllsKSdOSF3cd-cOn"
                               "yOmIBPsPs";

static int verify(const char *token, const char *secret)
{
    struct pat_jwks *keys;
    PAT_AUTO_JSON claims = NULL;
    int err = pat_jwks_parse(&keys, list, sizeof list - 1);

    if (err)
        return err;
    err = pat_jwt_verify(token, secret, keys, 1800000000, 30, &claims);
    if (!err && !claims)
        err = PAT_EINTERNAL;
    pat_jwks_free(keys);
    return err;
}

static void test_jwks__takes_the_keys_it_can_use(void **state)
{
    struct pat_jwks *keys;

    (void)state;
    assert_int_equal(pat_jwks_parse(&keys, list, sizeof list - 1), PAT_OK);
    /* Not: RSA of 1024 bits, P-384, one for encryption, a symmetric one, a broken one. */
    assert_int_equal(pat_jwks_count(keys), 2);
    pat_jwks_free(keys);
    assert_int_equal(pat_jwks_count(NULL), 0);
    pat_jwks_free(NULL);
}

static void test_jwks__refuses_what_is_no_list(void **state)
{
    static const char *const bad[] = { "", "[]", "{}", "{\"keys\":{}}", "{\"keys\":" };
    struct pat_jwks *keys;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(pat_jwks_parse(&keys, bad[i], strlen(bad[i])), PAT_EINVAL);
    assert_int_equal(pat_jwks_parse(&keys, "{\"keys\":[]}", 11), PAT_OK);
    pat_jwks_free(keys);
}

static void test_jwks__follows_the_table(void **state)
{
    static const struct {
        const char *what, *token;
        int err;
    } table[] = {
        { "ES256", es, PAT_OK },
        { "RS256", rs, PAT_OK },
        { "without a kid every key is tried", es_no_kid, PAT_OK },
        { "a kid nobody knows", unknown, PAT_ENOENT },
        { "somebody else's key under our kid", wrong_key, PAT_EAUTH },
        { "another digest", rs512, PAT_EAUTH },
        { "too old", late, PAT_ESTALE },
        { "without an end", no_exp, PAT_EAUTH },
        { "an extension we do not know", crit, PAT_EAUTH },
        { "a public key as a secret", confused, PAT_EAUTH },
        { "no token", "x.y", PAT_EAUTH },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int err = verify(table[i].token, NULL);

        if (err != table[i].err)
            fail_msg("%s: %s", table[i].what, pat_err_name(err));
    }
    assert_int_equal(verify(NULL, NULL), PAT_EAUTH);
    assert_int_equal(verify(es, "a secret"), PAT_OK);
    assert_int_equal(verify(confused, "another secret"), PAT_EAUTH);
}

/* But for the last character, whose low bits are padding. */
static void test_jwks__every_changed_byte_is_refused(void **state)
{
    char token[sizeof es];

    (void)state;
    for (size_t i = 0; i + 2 < sizeof es; i++) {
        memcpy(token, es, sizeof es);
        token[i] = token[i] == 'A' ? 'Q' : 'A';
        if (!verify(token, NULL))
            fail_msg("byte %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwks__takes_the_keys_it_can_use),
        cmocka_unit_test(test_jwks__refuses_what_is_no_list),
        cmocka_unit_test(test_jwks__follows_the_table),
        cmocka_unit_test(test_jwks__every_changed_byte_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
