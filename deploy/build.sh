#!/bin/sh
# The build steps of deploy/Dockerfile, in a script so that they also run where there is no Docker: a test runs them in an
# empty folder.
#
#   sh build.sh WHEELS LOCK TARGET
#
# WHEELS is the folder that `make dist` fills, LOCK requirements/runtime.lock, TARGET a folder that does not exist yet. It
# must have the path that it will be used under: programs in a virtual environment name their Python by its whole path.
set -eu
wheels=$1
lock=$2
target=$3
python=${PYTHON:-python3}

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$python" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check uv==0.13.9
uv="$tools/bin/uv"

mkdir -p "$target"
"$uv" venv --quiet --python "$python" "$target/venv"
# Third-party packages as they are locked, by their hashes; then our own two wheels, which bring none.
"$uv" pip install --quiet --python "$target/venv/bin/python" --compile-bytecode --require-hashes -r "$lock"
"$uv" pip install --quiet --python "$target/venv/bin/python" --compile-bytecode --no-deps --no-index \
    "$wheels"/kumo_serving-*.whl "$wheels"/kumo_assets-*.whl
"$uv" pip check --quiet --python "$target/venv/bin/python"

# DAGSTER_HOME and HOME of whatever user the image is run as: OpenShift gives each namespace a UID of its own.
mkdir "$target/home"
chmod 1777 "$target/home"
