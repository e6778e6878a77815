"""A disk that is filled is full, and is as before when it is emptied."""

import os
import subprocess
import sys

import pytest

WORK = """
import errno, os, sys
sys.path.insert(0, sys.argv[1])
import disk
assert disk.private([sys.executable, *sys.argv]) is None
path = os.path.join(sys.argv[2], "data")
os.makedirs(path)
open(os.path.join(path, "old"), "w").write("what was there")
d = disk.Disk(path)
assert open(os.path.join(path, "old")).read() == "what was there"
d.fill()
f = os.open(os.path.join(path, "new"), os.O_WRONLY | os.O_CREAT)
try:
    while True:
        os.write(f, b"x" * 65536)
except OSError as e:
    assert e.errno == errno.ENOSPC, e
d.empty()
assert os.write(f, b"x" * 65536) == 65536
d.unmount()
print("full, and empty again")
"""


def test_a_disk_is_filled_and_emptied(tmp_path):
    probe = subprocess.run(["unshare", "-m", "sh", "-c", 'truncate -s 1M "$1" && mkfs.ext4 -q -F "$1" && mkdir "$2" && mount -o loop "$1" "$2"',
                            "sh", str(tmp_path / "probe"), str(tmp_path / "mounted")], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"nothing can be mounted here: {probe.stderr.strip()}")
    script = tmp_path / "work.py"
    script.write_text(WORK)
    env = {k: v for k, v in os.environ.items() if k != "CHAOS_MOUNTS"}
    done = subprocess.run([sys.executable, str(script), os.path.dirname(os.path.abspath(__file__)), str(tmp_path)], env=env,
                          capture_output=True, text=True)
    assert done.stdout == "full, and empty again\n", done.stderr
