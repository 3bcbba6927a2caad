#!/usr/bin/env bash
# The Python driver, in the environment that setup.sh made: what the suite starts.
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
to=${CONVEYOR_CONFORMANCE_PYTHON:-${CARGO_TARGET_DIR:-$root/target}/conformance-python}
if [[ ! -f $to/made-of ]]; then
  echo "there is no environment in $to: run $here/setup.sh first" >&2
  exit 1
fi
exec "$to/bin/python" "$here/driver.py" "$@"
