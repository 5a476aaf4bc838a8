"""A virtual environment among the build's own files, and programs that leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
FOLDER = TARGET / "peers"
BIN = FOLDER / "bin"


def say(text):
    print(text, file=sys.stderr, flush=True)


def install(requirements):
    """Whether the packages of a file of requirements are there now."""
    if not (BIN / "python").exists():
        venv.create(FOLDER, with_pip=True)
    wanted = HERE / requirements
    done = FOLDER / requirements
    if done.exists() and done.read_bytes() == wanted.read_bytes():
        return True
    command = [BIN / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted]
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        return False
    done.write_bytes(wanted.read_bytes())
    return True


def output_of(command, seconds=None, threads=None):
    """What a command prints. Afterwards, by whatever end, nothing that it has started is left."""
    environment = os.environ | ({"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)} if threads else {})
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        try:
            output, _ = child.communicate(timeout=seconds)
        except BaseException:
            os.killpg(child.pid, signal.SIGTERM)  # mpiexec ends its ranks, which are in sessions of their own
            try:
                child.wait(5)
                time.sleep(1)  # Python's trackers remove what is left in shared memory
            except subprocess.TimeoutExpired:
                pass
            raise
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    if child.returncode != 0:
        raise subprocess.CalledProcessError(child.returncode, command)
    return output
