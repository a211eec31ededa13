"""Children that die with us, and waiting that has an end."""

import signal
import time

POLL_S = 0.01
POLL_TRIES = 6000


def dying_with_us(command, number=signal.SIGKILL, user=None):
    """The command, so started that it gets the signal when this process ends, however it ends.

    By setpriv and not by preexec_fn: that would fork, and gRPC's fork handlers would run in the child.
    """
    become = ["--reuid", user, "--regid", user, "--clear-groups"] if user else []
    return ["setpriv", *become, "--pdeathsig", number.name[3:], "--", *map(str, command)]


def until(condition, what, tries=POLL_TRIES):
    """Asks until the answer is true, and gives it back; a hang is a failure that says what was waited for."""
    for _ in range(tries):
        answer = condition()
        if answer:
            return answer
        time.sleep(POLL_S)
    raise AssertionError(f"never came: {what}")
