"""docs/api.yaml is true: schemathesis asks the running server for everything that it describes."""

import os
import subprocess
import venv

import requests
from system import ROOT

VENV = os.path.join(ROOT, "build", "venv")
PINNED = os.path.join(ROOT, "test", "integration", "requirements.txt")


def _schemathesis():
    """Its program, installed once for each content of requirements.txt."""
    program = os.path.join(VENV, "bin", "schemathesis")
    stamp = os.path.join(VENV, "requirements.txt")
    with open(PINNED) as f:
        wanted = f.read()
    if not os.path.exists(stamp) or open(stamp).read() != wanted:
        venv.create(VENV, clear=True, with_pip=True)
        subprocess.run([os.path.join(VENV, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check",
                        "-r", PINNED], check=True)
        with open(stamp, "w") as f:
            f.write(wanted)
    return program


def test_the_description_is_served(system):
    answer = system.get("/openapi.yaml")
    assert answer.status_code == 200
    with open(os.path.join(ROOT, "docs", "api.yaml"), encoding="utf-8") as f:
        assert answer.content.decode() == f.read()


def test_the_server_does_what_the_description_says(system, tmp_path):
    env = dict(os.environ, SCHEMATHESIS_HOOKS=os.path.join(ROOT, "test", "integration", "api_hooks.py"))
    run = subprocess.run([_schemathesis(), "run", system.base + "/openapi.yaml", "--url", system.base,
                          "--checks", "all", "--max-examples", "40", "--seed", "20261123", "--no-color",
                          "--suppress-health-check", "all", "--generation-database", "none"],
                         cwd=tmp_path, env=env, text=True, capture_output=True, timeout=300)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert "No issues found" in run.stdout, run.stdout[-3000:]
    assert requests.get(system.base + "/readyz", timeout=5).status_code == 200
