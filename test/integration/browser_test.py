"""A person with a browser (test/browser/form.cjs) before a whole system."""

import os
import shutil
import subprocess

from system import ROOT

PLACE = os.path.join(ROOT, "build", "browser")
SHOTS = os.path.join(ROOT, "build", "screenshots")


def _install():
    """playwright-core and axe-core as package-lock.json pins them, once for each content of it."""
    lock = os.path.join(ROOT, "test", "browser", "package-lock.json")
    stamp = os.path.join(PLACE, "installed-lock.json")
    if os.path.exists(stamp) and open(stamp).read() == open(lock).read():
        return
    shutil.rmtree(PLACE, ignore_errors=True)
    os.makedirs(PLACE)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(ROOT, "test", "browser", name), PLACE)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=PLACE, check=True,
                   capture_output=True, text=True, timeout=300)
    shutil.copy(lock, stamp)


def test_a_person_with_a_browser(system):
    _install()
    os.makedirs(SHOTS, exist_ok=True)
    env = dict(os.environ, NODE_PATH=os.path.join(PLACE, "node_modules"), FTE_BASE=system.base, FTE_SHOTS=SHOTS)
    run = subprocess.run(["node", "--test", "--test-reporter=spec", os.path.join(ROOT, "test", "browser", "form.cjs")],
                         env=env, text=True, capture_output=True, timeout=240)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
