"""A TCP port before another, which may move or be away: what is in between can see and cut.

So a fault comes when certain bytes are under way, not after some time.
"""

import socket
import threading

from . import PATIENCE

CHUNK = 65536
MARK_MAX = 64


class Relay:
    def __init__(self, target):
        self.target = target  # a function: the port to connect to
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        self.lock = threading.Lock()
        self.open = True
        self.replies = threading.Event()  # cleared: answers are held back
        self.replies.set()
        self.traps = []
        self.sprung = threading.Semaphore(0)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    # Faults

    def trap(self, mark, action):
        """When `mark` is about to pass towards the target, the action is run, once; traps go in order."""
        self.traps.append((mark, action))

    def await_trap(self):
        assert self.sprung.acquire(timeout=PATIENCE), "what was waited for never passed"

    def hold_replies(self):
        self.replies.clear()

    def cut(self):
        """Every connection breaks, and new ones are turned away."""
        self.open = False
        self.drop()
        self.replies.set()

    def mend(self):
        self.open = True

    # Work

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:  # closed
                return
            try:
                if not self.open:
                    raise OSError
                far = socket.create_connection(("127.0.0.1", self.target()), timeout=PATIENCE)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.pairs.append((near, far))
            for one in (self.forth, self.back):
                threading.Thread(target=one, args=(near, far), daemon=True).start()

    def is_marked(self, data):
        """Runs the action of the next trap if this is its mark."""
        with self.lock:
            if not self.traps or self.traps[0][0] not in data:
                return False
            _, action = self.traps.pop(0)
        action()
        return True

    def forth(self, near, far):
        seen = b""
        try:
            while data := near.recv(CHUNK):
                if self.is_marked(seen + data):
                    try:
                        far.sendall(data)
                    finally:
                        self.sprung.release()
                else:
                    far.sendall(data)
                seen = (seen + data)[-MARK_MAX:]
        except OSError:
            pass
        self.part(near, far)

    def back(self, near, far):
        try:
            while data := far.recv(CHUNK):
                self.replies.wait(PATIENCE)
                near.sendall(data)
        except OSError:
            pass
        self.part(near, far)

    def part(self, near, far):
        for one in (near, far):
            try:
                one.shutdown(socket.SHUT_RDWR)  # close() alone would not wake who reads
            except OSError:
                pass
            one.close()

    def drop(self):
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for near, far in pairs:
            self.part(near, far)

    def close(self):
        self.cut()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.thread.join(PATIENCE)
