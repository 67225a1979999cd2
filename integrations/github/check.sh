#!/usr/bin/env bash
# Runs `tinydeploy check` for a workflow: the table in the log, annotations, reports as files. `--format github` writes
# the job summary, too.
# Reads PYTHON, and of the action's inputs MODELS, BOARDS and ARGS (one a line), CONFIG and REPORTS.
# Ends with 0 and tells later steps `exit-code`, so that they can keep the results of a check that failed.
set -euo pipefail
exec 2>&1 # in one stream, so that the runner sees all of it in order

# One argument for each line that is not empty: nothing is split or expanded, whatever is in it.
lines() {
    local option=$1 text=$2 line
    while IFS= read -r line || [ -n "$line" ]; do
        line="${line%$'\r'}"
        [ -z "$line" ] || arguments+=("$option$line")
    done <<<"$text"
}

arguments=()
[ -z "$CONFIG" ] || arguments+=("--config=$CONFIG")
lines --board= "$BOARDS"
lines "" "$ARGS"
arguments+=(--format=github "--report=table=$REPORTS/check.txt" "--report=json=$REPORTS/check.json"
    "--report=junit=$REPORTS/junit.xml" "--report=sarif=$REPORTS/tinydeploy.sarif" --)
lines "" "$MODELS"

mkdir -p "$REPORTS"
rm -f "$REPORTS"/{check.txt,check.json,junit.xml,tinydeploy.sarif}

# Names of a model are in the log: until the token is said, the runner takes none of it for its commands.
token="$("$PYTHON" -c 'import secrets; print(secrets.token_hex(16))')"
code=0
echo "::stop-commands::$token"
annotations="$("$PYTHON" -m tinydeploy check "${arguments[@]}")" || code=$?
[ ! -s "$REPORTS/check.txt" ] || cat "$REPORTS/check.txt"
printf '\n::%s::\n' "$token"

if [ -n "$annotations" ]; then
    printf '%s\n' "$annotations"
elif [ "$code" != 0 ]; then
    echo "::error title=tinydeploy check::it ended with exit code $code before anything was checked: see the log"
fi

echo "exit-code=$code" >>"$GITHUB_OUTPUT"
for report in junit=junit.xml sarif=tinydeploy.sarif json=check.json; do
    if [ -s "$REPORTS/${report#*=}" ]; then
        printf '%s=%s\n' "${report%%=*}" "$REPORTS/${report#*=}" >>"$GITHUB_OUTPUT"
    fi
done
if [ -s "$REPORTS/tinydeploy.sarif" ]; then
    "$PYTHON" - "$REPORTS/tinydeploy.sarif" >>"$GITHUB_OUTPUT" <<'END'
import json, sys

with open(sys.argv[1], encoding="utf-8") as file:
    print(f"findings={len(json.load(file)['runs'][0]['results'])}")
END
fi
