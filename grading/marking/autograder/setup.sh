#!/usr/bin/env bash
# Installs what the autograder needs, once, when Gradescope builds its image. An image of your own
# that has all of it names its Python in A2C_PYTHON; then nothing is downloaded here.
set -euo pipefail
source=$(cd "$(dirname "$0")" && pwd)
cd "$source/kit"

python=${A2C_PYTHON:-/autograder/venv/bin/python}
if [ -z "${A2C_PYTHON:-}" ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends \
    python3 python3-venv bubblewrap util-linux libseccomp2 libgl1 libglib2.0-0
  python3 -m venv /autograder/venv
  pip() { "$python" -m pip install -q --no-cache-dir "$@"; }
  pip --index-url https://download.pytorch.org/whl/cpu "$(grep -o '^torch[<>=][^ ]*' requirements.txt)"
  pip -r requirements.txt -r grading/requirements.txt
fi

id student >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin student
"$python" -m compileall -q .
echo "$python" >"$source/python"
