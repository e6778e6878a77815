"""A disk of its own for a directory, so small that it can be filled: ext4 in a file, mounted over a loop device.

Needs root and a kernel that lets us mount; the mounts are in a namespace of our own and vanish with it.
"""

import os
import shutil
import subprocess

SIZE = 6 << 30  # bytes; the file behind it has holes
BALLAST = "ballast"


def private(argv):
    """Runs this program again in a mount namespace of its own, once. Why not, where it isn't possible; else None."""
    if os.environ.get("CHAOS_MOUNTS"):
        return os.environ["CHAOS_MOUNTS"] if os.environ["CHAOS_MOUNTS"] != "yes" else None
    why = "yes" if os.geteuid() == 0 else "only root may mount"
    if why == "yes" and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        why = "no mount namespace can be made here"
    os.environ["CHAOS_MOUNTS"] = why
    if why != "yes":
        return why
    os.execvp("unshare", ["unshare", "-m", "--propagation", "private", "--", *argv])


class Disk:
    """`directory` with what is in it moves onto a disk of its own; nobody may use it meanwhile."""

    def __init__(self, directory):
        self.path, old, image = directory, directory + ".old", directory + ".img"
        stat = os.stat(directory)
        with open(image, "wb") as f:
            f.truncate(SIZE)
        os.rename(directory, old)
        os.mkdir(directory)
        try:
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-F", image],
                           check=True, capture_output=True)
            subprocess.run(["mount", "-o", "loop", image, directory], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            os.rmdir(directory)
            os.rename(old, directory)
            os.unlink(image)
            raise
        os.rmdir(os.path.join(directory, "lost+found"))
        subprocess.run(["cp", "-a", old + "/.", directory], check=True)
        shutil.rmtree(old)
        os.chown(directory, stat.st_uid, stat.st_gid)
        os.chmod(directory, stat.st_mode & 0o7777)

    def fill(self):
        """Takes all that is free now; call it again for what became free."""
        with open(os.path.join(self.path, BALLAST), "ab") as f:
            size, step = os.fstat(f.fileno()).st_size, 1 << 30
            while step >= 4096:
                try:
                    os.posix_fallocate(f.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2

    def empty(self):
        os.unlink(os.path.join(self.path, BALLAST))

    def unmount(self):
        subprocess.run(["umount", "-l", self.path], check=True)
