"""Runs a command beside busy loops, to see whether it holds on a machine that has other things to do.

    python tools/busy.py 4 -- .venv/bin/pytest tests/regional/app/test_processes.py

Starts so many processes that do nothing but count (at the usual priority), runs the command, ends them again, and
exits with the command's status. ``--times 3`` runs it so often, and stops at the first failure.
"""

import argparse
import subprocess
import sys

LOOP = "while True: pass"


def main() -> int:
    """The command's exit status, or 1 if it was ended by a signal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("loops", type=int, help="how many busy loops")
    parser.add_argument("--times", type=int, default=1, help="how often to run the command")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command, after --")
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command or options.loops < 0:
        parser.error("give a command after --, and a number of loops that is not negative")
    # They end with this process, however it ends: each reads its standard input in the end, which is our pipe.
    watched = (
        f"import os, threading\nthreading.Thread(target=lambda: (os.read(0, 1), os._exit(0))).start()\n{LOOP}"
    )
    loops = [
        subprocess.Popen([sys.executable, "-c", watched], stdin=subprocess.PIPE) for _ in range(options.loops)
    ]
    status = 0
    try:
        for number in range(1, options.times + 1):
            print(f"busy: run {number} of {options.times}, beside {options.loops} loops", file=sys.stderr)
            status = subprocess.run(command, check=False).returncode
            if status:
                break
    except KeyboardInterrupt:
        status = 130
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()
    return status if status >= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
