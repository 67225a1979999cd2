#!/usr/bin/env bash
# Runs `tinydeploy check` for a workflow: the table in the log, annotations, the job summary, and reports as files.
# Reads PYTHON, and of the action's inputs MODELS, BOARDS and ARGS (one a line), CONFIG and REPORTS.
# Ends with 0 and tells later steps `exit-code`, so that they can keep the results of a check that failed.
set -euo pipefail

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
arguments+=("--report=junit=$REPORTS/junit.xml" "--report=sarif=$REPORTS/tinydeploy.sarif"
    "--report=json=$REPORTS/check.json" "--report=github=$REPORTS/annotations.txt"
    "--report=summary=$REPORTS/summary.md" --)
lines "" "$MODELS"

mkdir -p "$REPORTS"
rm -f "$REPORTS"/{junit.xml,tinydeploy.sarif,check.json,annotations.txt,summary.md}

# Names of a model are in the log: until the token is said, the runner takes none of it for its commands.
token="$("$PYTHON" -c 'import secrets; print(secrets.token_hex(16))')"
code=0
echo "::stop-commands::$token"
"$PYTHON" -m tinydeploy check "${arguments[@]}" || code=$?
printf '\n::%s::\n' "$token"

if [ -s "$REPORTS/annotations.txt" ]; then
    cat "$REPORTS/annotations.txt"
elif [ "$code" != 0 ]; then
    echo "::error title=tinydeploy check::it ended with exit code $code before anything was checked: see the log"
fi
if [ -s "$REPORTS/summary.md" ]; then
    cat "$REPORTS/summary.md" >>"$GITHUB_STEP_SUMMARY"
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
