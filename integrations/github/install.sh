#!/usr/bin/env bash
# Installs tinydeploy from the action's own checkout into an environment of its own, so that the job's is left alone.
# Reads EXTRAS. Tells later steps `python`, `cache` (the folder of results) and `key` (what they depend on).
set -euo pipefail

environment="$RUNNER_TEMP/tinydeploy"
python="$(command -v python3 || command -v python)"
"$python" -m venv --clear "$environment"
python="$environment/bin/python"
[ -x "$python" ] || python="$environment/Scripts/python.exe" # Windows
"$python" -m pip install --quiet --disable-pip-version-check "$GITHUB_ACTION_PATH${EXTRAS:+[$EXTRAS]}"

"$python" - >>"$GITHUB_OUTPUT" <<'END'
import hashlib, platform, sys
from importlib import metadata

import platformdirs

installed = sorted(f"{each.name}=={each.version}" for each in metadata.distributions())
digest = hashlib.sha256("\n".join(installed).encode()).hexdigest()[:16]
print(f"python={sys.executable}")
print(f"cache={platformdirs.user_cache_dir('tinydeploy', appauthor=False)}")
print(f"key=tinydeploy-{platform.system()}-{platform.machine()}-{digest}")
END
