#!/usr/bin/env bash
# Makes the environment of the Python driver: a venv with grpcio, and the stubs of proto/ in it. Nothing of it is
# committed. Does nothing where neither the requirements nor proto/ have changed.
# Usage: setup.sh. CONVEYOR_CONFORMANCE_PYTHON: where to; default target/conformance-python.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
to=${CONVEYOR_CONFORMANCE_PYTHON:-${CARGO_TARGET_DIR:-$root/target}/conformance-python}

cd "$root/proto"
protos=(conveyor/v1/{options,types,driver}.proto conveyor/conformance/v1/interpreter.proto)
made_of=$(cat "$here/requirements.txt" "$here/setup.sh" "${protos[@]}" | sha256sum)
if [[ -f $to/made-of && $(<"$to/made-of") == "$made_of" ]]; then exit 0; fi

rm -f "$to/made-of"
[[ -x $to/bin/python ]] || python3 -m venv "$to"
"$to/bin/python" -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Python 3.10 or later is needed")'
"$to/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
rm -rf "$to/stubs"
mkdir -p "$to/stubs"
"$to/bin/python" -m grpc_tools.protoc -I. --python_out="$to/stubs" --pyi_out="$to/stubs" --grpc_python_out="$to/stubs" "${protos[@]}"
printf '%s\n' "$made_of" >"$to/made-of"
echo "the Python driver's environment is in $to" >&2
