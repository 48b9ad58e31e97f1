"""`assay` at a tenth of what its start costs: one process has imported everything, and forks for each command.

Run as a program with the path of a socket, this is that process. `lay_command` writes an `assay` for the PATH, which hands
over its arguments, environment, folder and terminal, passes SIGTERM on, and exits as the command does.
"""

import gc
import json
import os
import signal
import socket
import sys
from pathlib import Path

from assay import cli, server

COMMAND = """#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as talk:
    talk.connect({path!r})
    socket.send_fds(talk, [b"!"], [0, 1, 2])
    order = {{"arguments": sys.argv[1:], "environ": dict(os.environ), "folder": os.getcwd()}}
    talk.sendall(json.dumps(order).encode())
    talk.shutdown(socket.SHUT_WR)
    answers = talk.makefile()
    command = int(answers.readline())
    signal.signal(signal.SIGTERM, lambda *_: os.kill(command, signal.SIGTERM))
    sys.exit(int(answers.readline() or 1))
"""


def lay_command(folder: Path, path: Path) -> None:
    """Write the executable `assay` that asks the process at `path`."""
    command = folder / "assay"
    command.write_text(COMMAND.format(python=sys.executable, path=str(path)))
    command.chmod(0o755)


def serve(path: str) -> None:
    """Fork for whoever asks, until killed."""
    assert server is not None  # what a command would import later is there before the fork
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while True:
            talk, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os._exit(obey(talk))
            talk.close()


def obey(talk: socket.socket) -> int:
    """Be the command that was asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, terminal, _, _ = socket.recv_fds(talk, 1, 3)
    for number, given in enumerate(terminal):
        os.dup2(given, number)
        os.close(given)
    order = json.loads(talk.makefile().read())
    talk.sendall(f"{os.getpid()}\n".encode())
    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["folder"])
    sys.argv = ["assay", *order["arguments"]]
    sys.modules["__main__"].__package__ = ""  # a command's usage begins with its name, not with this module's
    code = 1
    try:
        cli.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    sys.stdout.flush()
    talk.sendall(f"{code}\n".encode())
    return code


if __name__ == "__main__":
    serve(sys.argv[1])
