// The kernel's settings, which a container may read and not write.
import { access, remount, SystemError, unshare } from "../libc.ts";

// include/uapi/linux/sched.h, mount.h; unistd.h
const CLONE_NEWNS = 0x20000;
const MS_NOSUID = 0x2;
const MS_NODEV = 0x4;
const MS_NOEXEC = 0x8;
const MS_REMOUNT = 0x20;
const MS_BIND = 0x1000;
const W_OK = 2;

const SETTINGS = "/proc/sys";

/**
 * Makes /proc/sys writable for the calling thread and what it starts from then on, where it is not: a container that may
 * set up networks (CAP_NET_ADMIN) is not let at their settings otherwise, unless it is let at everything (privileged).
 * Nobody else sees it. Takes CAP_SYS_ADMIN.
 */
export function makeSettingsWritable(): void {
  if (isWritable()) return;
  try {
    unshare(CLONE_NEWNS);
    remount(SETTINGS, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC);
  } catch (error) {
    const advice = "leave AppArmor's profile for containers out (unconfined), and add CAP_SYS_ADMIN";
    throw new Error(`Cannot make ${SETTINGS} writable: ${(error as Error).message}; ${advice}`, {
      cause: error,
    });
  }
}

function isWritable(): boolean {
  try {
    access(`${SETTINGS}/net/ipv4/ip_forward`, W_OK);
    return true;
  } catch (error) {
    // Any other trouble is for whoever has it.
    return !(error instanceof SystemError && error.code === "EROFS");
  }
}
