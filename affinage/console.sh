#!/bin/sh
# The `affinage` of an environment: `make setup` copies this file to .venv/bin/affinage.
# It runs the commands of the checkout that the environment stands in, and no other checkout's.
checkout=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
if [ "$(pwd -P)" != "$checkout" ]; then
    printf 'error: %s\n  found:    %s\n  expected: %s\n  fix:      %s\n' "$(pwd -P)" \
        "the affinage of another folder: $checkout" "the root of the checkout that this affinage belongs to" \
        "cd $checkout; for another checkout, its own .venv/bin/affinage or python -m affinage" >&2
    exit 1
fi
exec "$checkout/.venv/bin/python" -m affinage "$@"
