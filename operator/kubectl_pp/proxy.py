"""`kubectl proxy` for the length of one command: kubectl keeps the credentials, we speak HTTP.

So every kubeconfig, exec plugin and proxy setting works, and 5,000 patches take one
kubectl and not 5,000. It listens on a socket in a folder only the user can enter, and serves
only the paths we need. A small shell holds it: when we end, however we end, its standard
input ends too and it removes both.
"""

import os
import re
import subprocess
import sys
import threading

from kubectl_pp.errors import UnavailableError

_SHELL = """\
trap '' INT HUP TERM
dir=$1
shift
"$@" --unix-socket="$dir/s" <&FD FD<&- &
child=$!
exec FD<&- >&- 2>&-
read -r _
kill -KILL "$child"
wait "$child"
rm -rf "$dir"
"""
_PATHS = (
    "^/apis/uploadpp[.]io(/|$)|^/version$|^/api/v1/namespaces/[^/]+/(events|pods|secrets)|^/api/v1/(events|namespaces)$"
    "|^/apis/(apps/v1/namespaces/[^/]+/deployments|batch/v1/namespaces/[^/]+/jobs)$"
    "|^/apis/coordination[.]k8s[.]io/v1/|^/apis/authorization[.]k8s[.]io/v1/selfsubjectaccessreviews$"
    "|^/apis/apiextensions[.]k8s[.]io/v1/customresourcedefinitions/"
)
WINDOWS = "nt"
"""What `os.name` is on Windows."""
_LONGEST_FOLDER = 80
"""Bytes. The path of a socket has room for 104 (macOS) or 108 (Linux), and we add 22."""
_LAST_SHELL_FD = 9
_SERVING = "Starting to serve on "
_KLOG = re.compile(rb"[EWIF]\d{4} ")


def kubectl_path() -> str:
    """The path of kubectl.

    Raises:
        UnavailableError: it is not on PATH, or we run on Windows and could not talk to it.
    """
    if os.name == WINDOWS:
        raise UnavailableError(
            "kubectl pp needs a Unix socket to reach a cluster, and Python has none on Windows",
            "run it in WSL; `kubectl pp ui --demo` and `kubectl pp completion powershell` work here",
        )
    for folder in os.get_exec_path():
        path = f"{folder or '.'}/kubectl"
        if os.access(path, os.X_OK) and os.path.isfile(path):  # noqa: PTH113 -- pathlib takes 10 ms to load
            return path
    raise UnavailableError("kubectl is not on PATH", "install it: https://kubernetes.io/docs/tasks/tools/")


class Proxy:
    """A running `kubectl proxy`; started at once, waited for when its socket is needed."""

    def __init__(self, arguments: list[str]) -> None:
        stdin = _own_stdin()
        command = [kubectl_path(), *arguments, "proxy", f"--accept-paths={_PATHS}"]
        self._words: list[str] = []
        self._verbose = any(each.startswith("--v=") for each in arguments)
        try:
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _SHELL.replace("FD", str(stdin)), "sh", _socket_folder(), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(stdin,),
            )
        finally:
            os.close(stdin)
        self._drain = threading.Thread(target=self._pass_on, daemon=True)
        self._drain.start()

    def socket(self) -> str:
        """The path of the socket, once kubectl serves.

        Raises:
            UnavailableError: kubectl gave up; the text is what it said.
        """
        assert self._shell.stdout is not None  # noqa: S101 -- it is a pipe
        line = self._shell.stdout.readline().decode(errors="replace").strip()
        if not line.startswith(_SERVING):
            self._drain.join(1)
            said = " ".join(self._words) or f"kubectl proxy said {line!r}"
            remedy = "check --kubeconfig and --context, or `kubectl config view`"
            if "first path segment in URL" in said:
                remedy = (
                    "begin the server in the kubeconfig with https:// or http://: kubectl proxy needs that"
                )
            raise UnavailableError(said.removeprefix("error: "), remedy)
        return line.removeprefix(_SERVING)

    def close(self) -> None:
        """Stop kubectl and remove the socket."""
        assert self._shell.stdin is not None  # noqa: S101 -- it is a pipe
        self._shell.stdin.close()
        self._shell.wait()

    def _pass_on(self) -> None:
        """Login prompts go to the person; kubectl's log of failed requests does not, we say that better."""
        assert self._shell.stderr is not None  # noqa: S101 -- it is a pipe
        while chunk := os.read(self._shell.stderr.fileno(), 4096):
            if _KLOG.match(chunk) and not self._verbose:
                continue
            if chunk.startswith((b"error:", b"Error", b"Unable to connect")):
                self._words.append(chunk.decode(errors="replace").strip())
                continue
            sys.stderr.buffer.write(chunk)
            sys.stderr.buffer.flush()


def _socket_folder() -> str:
    """A new folder that only the user can enter, under TMPDIR if that can be used, else under /tmp.

    Raises:
        UnavailableError: neither can be written.
    """
    wanted = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 -- the folder in it is private
    usable = len(os.fsencode(wanted)) <= _LONGEST_FOLDER
    for parent in (wanted, "/tmp") if usable else ("/tmp",):  # noqa: S108 -- same
        folder = f"{parent}/kubectl-pp.{os.getpid()}.{os.urandom(3).hex()}"
        try:
            os.mkdir(folder, 0o700)  # noqa: PTH102 -- pathlib takes 10 ms to load
        except OSError:
            continue
        return folder
    raise UnavailableError(
        f"cannot create the socket of kubectl proxy: neither TMPDIR ({wanted}) nor /tmp is writable",
        "set TMPDIR to a folder that you can write",
    )


def _own_stdin() -> int:
    """Our standard input once more: a login helper may ask there. Shells know one-digit numbers only."""
    try:
        copy = os.dup(0)
    except OSError:
        return os.open(os.devnull, os.O_RDONLY)
    if copy <= _LAST_SHELL_FD:
        return copy
    os.close(copy)
    raise UnavailableError("too many inherited file descriptors", "close file descriptors 3 to 9")
