"""What a refused call says: the status and its google.rpc details."""

import contextlib

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


class Refusal:
    def __init__(self, error):
        self.error = error
        self.code = error.code()
        self.message = error.details() or ""
        self.details = {}
        # grpcio makes some statuses itself (a deadline, a connection that broke): no details there.
        status = rpc_status.from_call(error)
        for detail in status.details if status is not None else ():
            for kind in ("ErrorInfo", "BadRequest", "RetryInfo", "Help"):
                message = getattr(error_details_pb2, kind)()
                if detail.Is(message.DESCRIPTOR):
                    detail.Unpack(message)
                    self.details[kind] = message

    @property
    def reason(self):
        info = self.details.get("ErrorInfo")
        return info.reason if info is not None else None

    @property
    def fields(self):
        bad = self.details.get("BadRequest")
        return [violation.field for violation in bad.field_violations] if bad is not None else []

    def __repr__(self):
        return f"{self.code.name} {self.reason} {self.fields} {self.message!r}"


@contextlib.contextmanager
def refused(code, reason=None, field=None):
    """The block must end in this refusal. `as` gives a list whose one element is the Refusal."""
    seen = []
    try:
        yield seen
    except grpc.RpcError as error:
        refusal = Refusal(error)
        seen.append(refusal)
    if not seen:
        raise AssertionError(f"not refused; expected {code} {reason}")
    assert seen[0].code == getattr(grpc.StatusCode, code), seen[0]
    assert reason is None or seen[0].reason == reason, seen[0]
    assert field is None or field in seen[0].fields, seen[0]
