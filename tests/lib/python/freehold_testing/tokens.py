"""Tokens, minted with the development keys that the server made, or with keys of the test's own."""

import base64
import json
import pathlib
import time

import jwt
from cryptography.hazmat.primitives import serialization

ISSUERS = {"tenant": "freehold-development", "operator": "freehold-development-operator"}
AUDIENCES = {"tenant": "freehold", "operator": "freehold-operator"}
LIFETIME_S = 3600


def claims(realm, tenant=None, roles=(), subject="tester", **changes):
    """Those of a good token; a change to None leaves the claim out."""
    now = int(time.time())
    out = {
        "iss": ISSUERS[realm],
        "aud": AUDIENCES[realm],
        "sub": subject,
        "iat": now,
        "exp": now + LIFETIME_S,
        "roles": list(roles),
    }
    if tenant is not None:
        out["tenant"] = tenant
    out.update(changes)
    return {name: value for name, value in out.items() if value is not None}


class Signer:
    """One private key with its kid."""

    def __init__(self, key, kid, algorithm):
        self.key = key
        self.kid = kid
        self.algorithm = algorithm

    @classmethod
    def development(cls, data_dir, realm):
        keys = pathlib.Path(data_dir) / "keys"
        jwk = json.loads((keys / f"{realm}.jwks.json").read_text())["keys"][0]
        pem = (keys / f"{realm}.key.pem").read_bytes()
        return cls(serialization.load_pem_private_key(pem, None), jwk["kid"], jwk["alg"])

    def sign(self, body, **header):
        return jwt.encode(body, self.key, self.algorithm, headers={"kid": self.kid, **header})

    def token(self, realm, **wanted):
        return self.sign(claims(realm, **wanted))

    def jwk(self):
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        out = algorithm.to_jwk(self.key.public_key(), as_dict=True)
        out.pop("key_ops", None)
        return {**out, "use": "sig", "alg": self.algorithm, "kid": self.kid}

    def public_pem(self):
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def key_set(*signers):
    return json.dumps({"keys": [signer.jwk() for signer in signers]})


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(header, body, signature=b""):
    """A token from its parts, for what no library would sign."""
    parts = [json.dumps(part).encode() if isinstance(part, dict) else part for part in (header, body)]
    return ".".join(base64url(part) for part in (*parts, signature))
