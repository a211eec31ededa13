"""freeholdd as a process: own data directory, ports the kernel picked, stopped by process id.

A server that ends by itself or with a sanitizer's report fails the test that owns it.
"""

import json
import os
import pathlib
import re
import select
import signal
import subprocess
import urllib.error
import urllib.request

import grpc

from . import PATIENCE, stubs, tokens
from .process import dying_with_us

READY = re.compile(r"freeholdd ready: tenants (\d+), operators (\d+), http (\d+)")
CRASHED = 137
CHANNEL_OPTIONS = (
    # Each channel has connections of its own, and comes back fast when the server does.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.enable_retries", 0),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)


def program():
    return os.environ["FREEHOLDD"]


class Service:
    """A generated stub whose every call carries the token and has a deadline."""

    def __init__(self, stub, token):
        self.stub = stub
        self.token = token

    def __getattr__(self, name):
        method = getattr(self.stub, name)

        def with_token(options):
            options.setdefault("timeout", PATIENCE)
            options["metadata"] = [*options.get("metadata", ()), *bearer(self.token)]
            return options

        def call(request, **options):
            return method(request, **with_token(options))

        call.future = lambda request, **options: method.future(request, **with_token(options))
        call.with_call = lambda request, **options: method.with_call(request, **with_token(options))
        return call


def bearer(token):
    return [("authorization", f"Bearer {token}")] if token is not None else []


class Server:
    def __init__(self, folder, *args, env=None, wrapper=(), data_dir=None, start=True):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = pathlib.Path(data_dir or self.folder / "data")
        self.args = list(args)
        self.env = env or {}
        self.wrapper = list(wrapper)
        self.channels = []
        self.starts = 0
        self.process = None
        if start:
            self.start()

    # Life

    def launch(self, env=None):
        self.starts += 1
        self.log_path = self.folder / f"server-{self.starts}.log"
        command = [
            *self.wrapper,
            program(),
            "--data-dir",
            str(self.data_dir),
            *("--listen", "127.0.0.1:0"),
            *("--operator-listen", "127.0.0.1:0"),
            *("--http-listen", "127.0.0.1:0"),
            *self.args,
        ]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                dying_with_us(command),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **self.env, **(env or {})},
            )

    def start(self, env=None):
        assert self.process is None
        self.launch(env)
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else ""
        found = READY.match(line)
        if not found:
            self.kill()
            raise AssertionError(f"no ready line but {line!r}\n{self.log()[-4000:]}")
        self.tenant_port, self.operator_port, self.http_port = map(int, found.groups())
        run_file = json.loads((self.data_dir / "freeholdd.json").read_text())
        assert run_file["tenant"] == f"127.0.0.1:{self.tenant_port}"
        assert run_file["operator"] == f"127.0.0.1:{self.operator_port}"
        self.signers = {}
        self.operators = self.channel(self.operator_port)
        return self

    def ended(self):
        """Forgets the process, which has ended; its exit status."""
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.process = None
        for channel in self.channels:
            channel.close()
        self.channels = []
        text = self.log()
        assert "Sanitizer" not in text and "runtime error" not in text, text[-8000:]
        return status

    def stop(self):
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.ended()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self):
        """SIGKILL: nothing of ours runs any more."""
        self.process.kill()
        return self.ended()

    def close(self):
        """At the end of a test: must still be alive, and must end well."""
        if self.process is None:
            return
        early = self.process.poll()
        status = self.stop()
        assert early is None and status == 0, f"exit status {status}\n{self.log()[-8000:]}"

    def log(self):
        return self.log_path.read_text(errors="replace")

    def log_lines(self):
        """The whole ones: the server may be writing the last."""
        return [json.loads(line) for line in self.log().rpartition("\n")[0].splitlines()]

    # Callers

    def channel(self, port=None):
        channel = grpc.insecure_channel(f"127.0.0.1:{port or self.tenant_port}", CHANNEL_OPTIONS)
        self.channels.append(channel)
        return channel

    def signer(self, realm):
        if realm not in self.signers:
            self.signers[realm] = tokens.Signer.development(self.data_dir, realm)
        return self.signers[realm]

    def tenant_token(self, tenant, *roles, **changes):
        return self.signer("tenant").token("tenant", tenant=tenant, roles=roles, **changes)

    def operator_token(self, **changes):
        return self.signer("operator").token("operator", **{"roles": ["operator"], **changes})

    def data(self, tenant, *roles, channel=None, token=None):
        token = token or self.tenant_token(tenant, *(roles or ("writer",)))
        return Service(stubs.data_grpc.DataServiceStub(channel or self.channel()), token)

    def audit(self, tenant, *roles, channel=None, token=None):
        token = token or self.tenant_token(tenant, *(roles or ("admin",)))
        return Service(stubs.audit_grpc.AuditServiceStub(channel or self.channel()), token)

    def operator(self, stub):
        return Service(stub(self.operators), self.operator_token())

    @property
    def tenants(self):
        return self.operator(stubs.tenant_admin_grpc.TenantAdminServiceStub)

    @property
    def stores(self):
        return self.operator(stubs.store_admin_grpc.StoreAdminServiceStub)

    @property
    def moves(self):
        return self.operator(stubs.move_admin_grpc.MoveAdminServiceStub)

    @property
    def schemas(self):
        return self.operator(stubs.schema_grpc.SchemaServiceStub)

    def health(self, port=None):
        stub = stubs.health_grpc.HealthStub(self.channel(port))
        return stub.Check(stubs.health.HealthCheckRequest(), timeout=PATIENCE).status

    def assert_serving(self):
        assert self.process.poll() is None, f"the server ended\n{self.log()[-8000:]}"
        assert self.health() == stubs.health.HealthCheckResponse.SERVING

    def http(self, path):
        """Status and text."""
        url = f"http://127.0.0.1:{self.http_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    # Set-up

    def apply_schema(self, files):
        migrations = [stubs.schema.Migration(name=name, sql=sql) for name, sql in files]
        return self.schemas.ApplySchema(stubs.schema.ApplySchemaRequest(migrations=migrations))

    def add_postgres(self, cluster, name="pg", port=None):
        store = stubs.store_admin.Store(
            name=f"stores/{name}",
            engine="postgresql",
            location=cluster.dsn("freehold_app", port),
            owner_location=cluster.dsn("freehold_owner", port),
        )
        return self.stores.CreateStore(stubs.store_admin.CreateStoreRequest(store=store))

    def add_sqlite(self, name, location):
        store = stubs.store_admin.Store(
            name=f"stores/{name}", engine="sqlite", location=str(location)
        )
        return self.stores.CreateStore(stubs.store_admin.CreateStoreRequest(store=store))

    def create_tenant(self, slug, store="local", **fields):
        """The new tenant's UUID."""
        request = stubs.tenant_admin.CreateTenantRequest(
            tenant=stubs.tenant_admin.Tenant(slug=slug, **fields), store=f"stores/{store}"
        )
        return self.tenants.CreateTenant(request).uid
