# shellcheck shell=bash
# Steps with headings, times and a summary, for ci/test and ci/test-spdk.

steps_failed=()
steps_skipped=()
steps_started=$SECONDS

# step NAME COMMAND..: runs the command under a heading. A failure is remembered, and the next step
# runs all the same: one run shows everything that is wrong.
step() {
    local name=$1 started=$SECONDS code=0
    shift
    printf '\n=== %s\n' "$name"
    "$@" || code=$?
    if ((code == 0)); then
        printf -- '--- ok: %s (%d s)\n' "$name" $((SECONDS - started))
    else
        printf -- '--- FAILED with %d: %s (%d s)\n' "$code" "$name" $((SECONDS - started))
        steps_failed+=("$name")
    fi
}

# skip NAME REASON: says loudly that something was not tested.
skip() {
    printf '\n=== %s\n*** SKIPPED: %s\n' "$1" "$2"
    steps_skipped+=("$1: $2")
}

# summary: what failed and what was skipped, and the total time. Its status is the script's.
summary() {
    printf '\n=== Summary: %d s\n' $((SECONDS - steps_started))
    ((${#steps_skipped[@]} == 0)) || printf '*** SKIPPED: %s\n' "${steps_skipped[@]}"
    if ((${#steps_failed[@]} > 0)); then
        printf 'FAILED: %s\n' "${steps_failed[@]}"
        return 1
    fi
    printf 'all passed\n'
}
