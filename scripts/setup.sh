# Shared by scripts/demo and scripts/test: make .venv with the pinned packages, once, and again when the pins change.
# Sourced, not run. The caller sets EXTRA to the extras it needs, such as "[test]".
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$root/.venv"

find_python() {
    for name in ${PYTHON:-} python3 python3.12 python3.13 python3.11; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "modelhub needs Python 3.11, 3.12 or 3.13; none was found. Set PYTHON to one." >&2
    return 1
}

set_up() {
    local stamp="$venv/.modelhub-${EXTRA//[^a-z]/}" wanted
    wanted=$(cat "$root/pyproject.toml" "$root/constraints.txt" | cksum)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    echo "Setting up $venv (once; torch is large)…" >&2
    local python
    python=$(find_python)
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    local pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-warn-script-location -c "$root/constraints.txt")
    # torch first and by itself: a bare requirement could pull gigabytes of GPU libraries
    "${pip[@]}" "$(grep '^torch==' "$root/constraints.txt")"
    "${pip[@]}" -e "$root$EXTRA"
    echo "$wanted" >"$stamp"
}
