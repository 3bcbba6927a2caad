#!/usr/bin/env bash
# Probes a server with what its own OpenAPI document says. Usage: run.sh PROGRAM [EXAMPLES]
#
# Starts PROGRAM (a built `conveyor`) on a free port over a temporary directory, lets one pipeline run,
# and has schemathesis send EXAMPLES (50) cases for each operation: first with ids that it makes up, then
# with the run and the pipeline that are there. Fails on anything that it finds.
set -euo pipefail

program=$(realpath "$1")
examples=${2:-50}
here=$(dirname "$(realpath "$0")")
venv=$here/../../target/schemathesis
python=${PYTHON:-python3}

if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    "$python" -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi

work=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT

cd "$work"
"$program" serve --data-dir data --listen 127.0.0.1:0 --exec 2 --log-format json 2>server.log &
server=$!
url=
for _ in $(seq 200); do
    url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' server.log | head -n 1)
    [ -n "$url" ] && break
    kill -0 "$server" || { cat server.log >&2; exit 1; }
    sleep 0.05
done
"$program" apply -f "$here/pipeline.yaml" --server "$url" >/dev/null
run=$("$program" start probed --server "$url" --follow -o json | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' | head -n 1)

probe() {
    (cd "$work" && cp "$1" schemathesis.toml && shift && "$venv/bin/st" run "$url/v1/openapi.json" \
        --max-examples "$examples" --phases examples,coverage,fuzzing "$@")
}

probe "$here/schemathesis.toml"
# Then of what is there.
{
    cat "$here/schemathesis.toml"
    printf '\n[parameters]\n"path.run" = "%s"\n"path.name" = "probed"\n' "${run:-latest}"
} >there.toml
probe there.toml --exclude-method DELETE
kill -0 "$server"
