#!/bin/sh
# Makes the virtual environment anew: make_venv.sh FOLDER [PYTHON ...]
#
# Takes the first of the Pythons that can carry all we need. What is in the folder is removed first: it is only called
# when that is half-made, or its Python is gone. The file FOLDER/.stamps/venv is written last, so that an interruption
# at any point shows.
set -eu
venv=$1
shift

# pocketsphinx has wheels for CPython 3.11 to 3.13 only; Debian's python3 may lack ensurepip.
fit='import ensurepip, sys, sysconfig, venv
fits = sys.implementation.name == "cpython" and (3, 11) <= sys.version_info[:2] <= (3, 13)
sys.exit(not fits or bool(sysconfig.get_config_var("Py_GIL_DISABLED")))'

for python in "$@"; do
    if "$python" -c "$fit" >/dev/null 2>&1; then
        rm -rf "$venv/.stamps" && rm -rf "$venv"
        "$python" -m venv "$venv"
        mkdir -p "$venv/.stamps"
        : >"$venv/.stamps/venv"
        exit 0
    fi
done
echo "Repartee needs CPython 3.11, 3.12 or 3.13 with its venv module, and none of these is one: $*." \
    "Install one (apt install python3-venv, brew install python@3.13, uv python install 3.13)" \
    "or name one: make demo PYTHON=/path/to/python3.13" >&2
exit 1
