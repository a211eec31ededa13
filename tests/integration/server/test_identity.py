"""Who may call what: every way a token can be wrong, the roles, the two realms, and keys that change."""

import base64
import functools
import hashlib
import hmac
import json
import os
import time

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from freehold_testing import stubs, tokens
from freehold_testing.process import until
from freehold_testing.refusal import refused
from freehold_testing.server import Service

from conftest import create, get, new_slug, prepare

d = stubs.data
LIST_EVENTS = stubs.audit.ListEventsRequest()
LIST_TENANTS = stubs.tenant_admin.ListTenantsRequest()


@pytest.fixture(scope="session")
def home(server):
    """A tenant with one record to be reached."""
    tenant = server.create_tenant(new_slug("identity"))
    server.data(tenant).CreateRecord(create("one"))
    return tenant


def outcome(call):
    """The status of a read: OK or the refusal's."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def test_good_token(server, home):
    server.data(home, "reader").GetRecord(get("one"))


def test_no_token(server):
    stub = stubs.data_grpc.DataServiceStub(server.channel())
    for metadata in ((), (("authorization", ""),), (("x-token", "Bearer a.b.c"),)):
        with refused("UNAUTHENTICATED", "UNAUTHENTICATED"):
            stub.GetRecord(get("one"), metadata=metadata, timeout=10)


def test_other_schemes(server, home):
    stub = stubs.data_grpc.DataServiceStub(server.channel())
    token = server.tenant_token(home, "reader")
    for text in (token, f"Basic {token}", "Bearer", "Bearer ", f"Bearer{token}", f"Bearer {token}, x"):
        with refused("UNAUTHENTICATED"):
            stub.GetRecord(get("one"), metadata=[("authorization", text)], timeout=10)
    stub.GetRecord(get("one"), metadata=[("authorization", f"bearer  {token}")], timeout=10)


def test_two_tokens(server, home):
    """Which one counts is not left to chance: the first, and the other adds nothing to it."""
    stub = stubs.data_grpc.DataServiceStub(server.channel())
    other = server.create_tenant(new_slug("identity"))
    pair = [server.tenant_token(other, "reader"), server.tenant_token(home, "admin")]
    for order, expected in ((pair, "NOT_FOUND"), (pair[::-1], "OK")):
        metadata = [("authorization", f"Bearer {token}") for token in order]
        read = functools.partial(stub.GetRecord, get("one"), metadata=metadata, timeout=10)
        assert outcome(read) == expected
    with refused("UNAUTHENTICATED"):
        metadata = [("authorization", "Bearer x"), ("authorization", f"Bearer {pair[1]}")]
        stub.GetRecord(get("one"), metadata=metadata, timeout=10)


def wrong_tokens(server, home):
    """Names and tokens; each differs from a good one in one thing."""
    signer = server.signer("tenant")
    good = tokens.claims("tenant", tenant=home, roles=["admin"])
    now = int(time.time())
    header = {"alg": "EdDSA", "typ": "JWT", "kid": signer.kid}
    payload = json.dumps(good).encode()
    signed = signer.sign(good)
    head, body, signature = signed.split(".")
    raw_public = signer.key.public_key().public_bytes_raw()
    stranger = tokens.Signer(ed25519.Ed25519PrivateKey.generate(), signer.kid, "EdDSA")

    def changed(roles=("admin",), **changes):
        body = {**good, "roles": roles, **changes}
        return signer.sign({name: one for name, one in body.items() if one is not None})

    yield "garbage", "garbage"
    yield "two parts", f"{head}.{body}"
    yield "four parts", f"{signed}.{signature}"
    yield "empty parts", ".."
    yield "not base64", f"{head}.{body}.!!!"
    yield "padded base64", f"{head}.{body}.{signature}=="
    yield "expired", changed(iat=now - 7200, exp=now - 3600)
    yield "not yet valid", changed(nbf=now + 3600)
    yield "no exp", changed(exp=None)
    yield "exp as text", changed(exp=str(now + 60))
    yield "exp negative", changed(exp=-1)
    yield "exp huge", changed(exp=10**30)
    yield "other audience", changed(aud="somebody-else")
    yield "operators' audience", changed(aud="freehold-operator")
    yield "no audience", changed(aud=None)
    yield "other issuer", changed(iss="https://elsewhere")
    yield "no issuer", changed(iss=None)
    yield "no subject", changed(sub=None)
    yield "no tenant", signer.sign(tokens.claims("tenant", roles=["admin"]))
    yield "tenant is a slug", signer.sign(tokens.claims("tenant", tenant="acme", roles=["admin"]))
    yield "tenant is nil", signer.sign(
        tokens.claims("tenant", tenant="00000000-0000-0000-0000-000000000000", roles=["admin"])
    )
    yield "roles as text", changed(roles="admin")
    yield "alg none", tokens.forge({**header, "alg": "none"}, good)
    yield "alg none with signature", tokens.forge(
        {**header, "alg": "none"}, good, base64.urlsafe_b64decode(signature + "==")
    )
    yield "alg NONE", tokens.forge({**header, "alg": "NoNe"}, good)
    yield "unsigned", tokens.forge(header, good)
    yield "HMAC with the public key", jwt.encode(
        good, base64.urlsafe_b64encode(raw_public), "HS256", headers={"kid": signer.kid}
    )
    yield "HMAC with the raw public key", jwt.encode(
        good, raw_public, "HS256", headers={"kid": signer.kid}
    )
    yield "another algorithm's name", tokens.forge(
        {**header, "alg": "RS256"}, good, base64.urlsafe_b64decode(signature + "==")
    )
    yield "unknown kid", signer.sign(good, kid="nobody")
    yield "no kid", tokens.forge(
        {"alg": "EdDSA"}, good, signer.key.sign(b"whatever")
    )
    yield "a stranger's key", stranger.sign(good)
    yield "a key of its own", tokens.forge({**header, "jwk": stranger.jwk()}, good, b"x" * 64)
    yield "critical header", signer.sign(good, crit=["exp"])
    twice = payload[:-1] + b', "tenant": "01890000-0000-7000-8000-000000000000"}'
    signing = f"{tokens.base64url(json.dumps(header).encode())}.{tokens.base64url(twice)}"
    yield "a claim twice", f"{signing}.{tokens.base64url(signer.key.sign(signing.encode()))}"
    forged = json.dumps({**good, "roles": ["admin", "operator"]}).encode()
    yield "changed body", f"{head}.{tokens.base64url(forged)}.{signature}"
    yield "not JSON", tokens.forge(b"{", good)
    yield "an array", tokens.forge(b"[]", b"[]", b"x")
    yield "too long", changed(filler="x" * 9000)


def test_wrong_tokens(server, home):
    stub = stubs.data_grpc.DataServiceStub(server.channel())
    for name, token in wrong_tokens(server, home):
        with refused("UNAUTHENTICATED", "UNAUTHENTICATED") as seen:
            Service(stub, token).GetRecord(get("one"))
            raise AssertionError(f"let in: {name}")
        assert token not in seen[0].message, name
    server.assert_serving()


def test_audience_lists(server, home):
    server.data(home, token=server.tenant_token(home, "reader", aud=["x", "freehold"])).GetRecord(
        get("one")
    )
    with refused("UNAUTHENTICATED"):
        server.data(home, token=server.tenant_token(home, "reader", aud=["x", "y"])).GetRecord(
            get("one")
        )


def calls(stub):
    """Every method of DataService with a request that would work or be refused by its content."""
    name = "tables/things/records/one"
    return {
        "GetRecord": (stub.GetRecord, d.GetRecordRequest(name=name)),
        "BatchGetRecords": (stub.BatchGetRecords, d.BatchGetRecordsRequest(names=[name])),
        "ListRecords": (stub.ListRecords, d.ListRecordsRequest(parent="tables/things")),
        "CreateRecord": (stub.CreateRecord, create("one")),
        "UpdateRecord": (stub.UpdateRecord, d.UpdateRecordRequest(record=d.Record(name=name))),
        "DeleteRecord": (stub.DeleteRecord, d.DeleteRecordRequest(name=name, validate_only=True)),
        "UndeleteRecord": (stub.UndeleteRecord, d.UndeleteRecordRequest(name=name)),
        "PurgeRecord": (stub.PurgeRecord, d.PurgeRecordRequest(name=name, validate_only=True)),
        "Commit": (
            stub.Commit,
            d.CommitRequest(writes=[d.Write(purge=name)], validate_only=True),
        ),
    }


READS = {"GetRecord", "BatchGetRecords", "ListRecords"}
MAY = {
    (): set(),
    ("operator",): set(),
    ("Reader",): set(),
    ("reader",): READS,
    ("writer",): READS | {"write"},
    ("admin",): READS | {"write", "audit"},
    ("unheard-of", "reader"): READS,
}


@pytest.mark.parametrize("roles", MAY, ids=lambda roles: "+".join(roles) or "none")
def test_roles(server, home, roles):
    """One table of what each role may; nothing else decides."""
    token = server.tenant_token(home, *roles)
    may = MAY[roles]
    channel = server.channel()
    for name, (method, request) in calls(server.data(home, token=token, channel=channel)).items():
        allowed = name in may or (name not in READS and "write" in may)
        got = outcome(lambda method=method, request=request: method(request))
        assert (got != "PERMISSION_DENIED") == allowed, (name, got)
    got = outcome(lambda: server.audit(home, token=token, channel=channel).ListEvents(LIST_EVENTS))
    assert got == ("OK" if "audit" in may else "PERMISSION_DENIED")


def test_the_realms_do_not_mix(server, home):
    tenant_token = server.tenant_token(home, "admin", "operator")
    operators = server.channel(server.operator_port)
    with refused("UNAUTHENTICATED"):
        Service(stubs.tenant_admin_grpc.TenantAdminServiceStub(operators), tenant_token).ListTenants(
            LIST_TENANTS
        )
    with refused("UNAUTHENTICATED"):
        server.data(home, token=server.operator_token()).GetRecord(get("one"))
    with refused("UNAUTHENTICATED"):
        server.data(home, token=server.operator_token(tenant=home)).GetRecord(get("one"))
    # An operator's issuer with the tenants' audience, and the tenants' key under an operator's name.
    with refused("UNAUTHENTICATED"):
        server.data(home, token=server.operator_token(aud="freehold", tenant=home)).GetRecord(
            get("one")
        )
    crossed = server.signer("tenant").token("operator", roles=["operator"])
    with refused("UNAUTHENTICATED"):
        Service(stubs.tenant_admin_grpc.TenantAdminServiceStub(operators), crossed).ListTenants(
            LIST_TENANTS
        )


def test_the_listeners_have_their_own_services(server, home):
    """What the other realm offers is not there, whoever asks."""
    operators = server.channel(server.operator_port)
    with refused("UNIMPLEMENTED"):
        Service(stubs.data_grpc.DataServiceStub(operators), server.operator_token()).GetRecord(
            get("one")
        )
    stub = stubs.tenant_admin_grpc.TenantAdminServiceStub(server.channel())
    with refused("UNIMPLEMENTED"):
        Service(stub, server.tenant_token(home, "admin")).ListTenants(LIST_TENANTS)


def test_operators_need_their_role(server):
    stub = stubs.tenant_admin_grpc.TenantAdminServiceStub(server.channel(server.operator_port))
    for roles in ([], ["admin"], ["writer", "reader"]):
        with refused("PERMISSION_DENIED"):
            Service(stub, server.operator_token(roles=roles)).ListTenants(LIST_TENANTS)


def test_a_tenant_that_never_was(server):
    with refused("NOT_FOUND", "TENANT_NOT_FOUND"):
        server.data("0197a3c4-5b6d-7e8f-9012-3456789abcde").GetRecord(get("one"))


def replace(path, text):
    """As a deployment does it: written beside, renamed."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


def test_keys_change_while_serving(start):
    """A key is added, used, and taken away; a broken file changes nothing."""
    server = prepare(start())
    tenant = server.create_tenant("rotating")
    path = server.data_dir / "keys/tenant.jwks.json"
    old = server.signer("tenant")
    new = tokens.Signer(ed25519.Ed25519PrivateKey.generate(), "next", "EdDSA")
    channel = server.channel()

    def client(signer):
        token = signer.token("tenant", tenant=tenant, roles=["writer"])
        return server.data(tenant, token=token, channel=channel)

    with_old, with_new = client(old), client(new)

    def reads(data):
        return outcome(lambda: data.GetRecord(get("one"))) == "OK"

    with_old.CreateRecord(create("one"))
    assert not reads(with_new)
    replace(path, tokens.key_set(old, new))
    until(lambda: reads(with_new), "the new key")
    assert reads(with_old)
    replace(path, '{"keys": [')
    until(lambda: "jwks" in server.log() or "key" in server.log(), "the complaint")
    for text in ("{", "[]", '{"keys": 7}', ""):
        replace(path, text)
        assert reads(with_old) and reads(with_new)
    replace(path, tokens.key_set(new))
    # Its token was verified and cached: the cache must not outlive the key.
    until(lambda: not reads(with_old), "the end of the old key")
    assert reads(with_new)


def test_issuers_of_ones_own(start, folder):
    """RS256, ES256 and EdDSA from configured key sets; each key with its own algorithm only."""
    signers = {
        "RS256": tokens.Signer(rsa.generate_private_key(65537, 2048), "r", "RS256"),
        "ES256": tokens.Signer(ec.generate_private_key(ec.SECP256R1()), "e", "ES256"),
        "EdDSA": tokens.Signer(ed25519.Ed25519PrivateKey.generate(), "d", "EdDSA"),
    }
    path = folder / "own.jwks.json"
    path.write_text(tokens.key_set(*signers.values()))
    server = prepare(
        start("--tenant-issuer", "https://issuer", "--tenant-jwks", str(path), "--tenant-audience", "app")
    )  # fmt: skip
    tenant = server.create_tenant("own-issuer")
    good = tokens.claims(
        "tenant", tenant=tenant, roles=["writer"], iss="https://issuer", aud="app"
    )
    channel = server.channel()

    def read(token):
        return outcome(
            lambda: server.data(tenant, token=token, channel=channel).GetRecord(get("none"))
        )

    for signer in signers.values():
        assert read(signer.sign(good)) == "NOT_FOUND"
    # The development keys mean nothing here.
    assert read(jwt.encode(good, ed25519.Ed25519PrivateKey.generate(), "EdDSA")) == "UNAUTHENTICATED"
    # The classic: the verifier's RSA key as HMAC secret. PyJWT refuses to sign so; by hand then.
    for secret in (signers["RS256"].public_pem(), signers["RS256"].public_pem().strip()):
        head = tokens.base64url(b'{"alg":"HS256","typ":"JWT","kid":"r"}')
        signing = f"{head}.{tokens.base64url(json.dumps(good).encode())}"
        mac = hmac.new(secret, signing.encode(), hashlib.sha256).digest()
        assert read(f"{signing}.{tokens.base64url(mac)}") == "UNAUTHENTICATED"
    for key, label in (("RS256", "ES256"), ("ES256", "EdDSA"), ("EdDSA", "RS256")):
        signed = signers[key].sign(good, kid=signers[label].kid)
        assert read(signed) == "UNAUTHENTICATED"
    # RS512 and PS256 are sound, and not offered.
    for other in ("RS512", "PS256"):
        signed = jwt.encode(good, signers["RS256"].key, other, headers={"kid": "r"})
        assert read(signed) == "UNAUTHENTICATED"
    server.assert_serving()
