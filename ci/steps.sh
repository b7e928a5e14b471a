# shellcheck shell=bash
# Steps with headings, times and a summary, for ci/test and ci/test-spdk.

steps_times=()
steps_failed=()
steps_skipped=()
steps_started=$SECONDS

# step NAME COMMAND..: runs the command under a heading. A failure is remembered, and the next step
# runs all the same: one run shows everything that is wrong.
step() {
    local name=$1 started=$SECONDS code=0 seconds
    shift
    printf '\n=== %s\n' "$name"
    "$@" || code=$?
    seconds=$((SECONDS - started))
    steps_times+=("$(printf '%5d s  %s' "$seconds" "$name")")
    if ((code == 0)); then
        printf -- '--- ok: %s (%d s)\n' "$name" "$seconds"
    else
        printf -- '--- FAILED with %d: %s (%d s)\n' "$code" "$name" "$seconds"
        steps_failed+=("$name")
    fi
    return "$code"
}

# skip NAME REASON: says loudly that something was not tested.
skip() {
    printf '\n=== %s\n*** SKIPPED: %s\n' "$1" "$2"
    steps_skipped+=("$1: $2")
}

# Makes $target/ci/venv, a Python environment with pytest and SPDK's client library. Needs python3
# with venv, and the first time a network.
python_environment() {
    # shellcheck disable=SC2154 # of the script that reads this one
    local place=$target/ci/venv wanted=ci/suite/requirements.txt
    [[ -x $place/bin/python ]] || python3 -m venv "$place" || return
    cmp -s "$wanted" "$place/requirements.txt" && return
    "$place/bin/python" -m pip install --quiet --requirement "$wanted" &&
        cp "$wanted" "$place/requirements.txt"
}

# summary: how long each step took, what failed and what was skipped. Its status is the script's.
summary() {
    printf '\n=== Summary: %d s\n' $((SECONDS - steps_started))
    printf '%s\n' "${steps_times[@]}"
    ((${#steps_skipped[@]} == 0)) || printf '*** SKIPPED: %s\n' "${steps_skipped[@]}"
    if ((${#steps_failed[@]} > 0)); then
        printf 'FAILED: %s\n' "${steps_failed[@]}"
        return 1
    fi
    printf 'all passed\n'
}
