// What a kernel unpacks before it can read any disk: a cpio archive. Source: the kernel's buffer-format.rst, cpio(5).
import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { execaSync } from "execa";

/** What it takes to reach the host's files, by the names that modprobe(8) knows. */
const MODULES = ["virtio_pci", "9p", "9pnet_virtio", "overlay", "virtio_rng"];

const MODE = { directory: 0o040755, file: 0o100755 } as const;

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly bytes: Uint8Array;
}

/**
 * The archive that starts a guest: init.sh, which hands over to `start`, a command for bash in the host's files. The
 * kernel is one that fetch-kernel.sh has put into a directory, which has to be among those files.
 */
export function initramfs(kernel: string, start: string): Uint8Array {
  const modules = modulesOf(kernel);
  return archive([
    ...["dev", "proc", "host", "changes", "root", "modules"].map(directory),
    file("init", readFileSync(join(import.meta.dirname, "init.sh"))),
    file("busybox", readFileSync(join(kernel, "busybox"))),
    file("start", start),
    ...modules.map(({ name, bytes }) => file(`modules/${name}`, bytes)),
    file("modules/order", modules.map(({ name }) => `${name}\n`).join("")),
    file("modules/directory", realpathSync(join(kernel, "lib/modules"))),
  ]);
}

/** In the order in which they have to be loaded; what is built into the kernel is not among them. */
function modulesOf(kernel: string): { name: string; bytes: Uint8Array }[] {
  const [release] = readdirSync(join(kernel, "lib/modules"));
  const options = ["--dirname", kernel, "--set-version", release as string, "--show-depends"];
  const printed = MODULES.map((name) => execaSync("modprobe", [...options, name]).stdout).join("\n");
  const paths = Array.from(printed.matchAll(/^insmod (\S+)/gm), ([, path]) => path as string);
  return [...new Set(paths)].map((path) => {
    if (extname(path) !== ".xz") return { name: basename(path), bytes: readFileSync(path) };
    const { stdout } = execaSync("xz", ["--decompress", "--stdout", path], { encoding: "buffer" });
    return { name: basename(path, ".xz"), bytes: stdout };
  });
}

function directory(name: string): Entry {
  return { name, mode: MODE.directory, bytes: new Uint8Array() };
}

/** Executable, as all are. */
export function file(name: string, content: string | Uint8Array): Entry {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return { name, mode: MODE.file, bytes };
}

/** As the kernel wants it. */
export function archive(entries: readonly Entry[]): Uint8Array {
  const end = { name: "TRAILER!!!", mode: 0, bytes: new Uint8Array() };
  return Buffer.concat([...entries, end].flatMap((entry, at) => packed(entry, at + 1)));
}

/** Format "newc": a header of 13 numbers in hexadecimal; name and content are each filled up to a multiple of four. */
function packed({ name, mode, bytes }: Entry, inode: number): Buffer[] {
  const [uid, gid, links, mtime, device, checksum] = [0, 0, 1, 0, [0, 0, 0, 0], 0];
  const nameBytes = name.length + 1;
  const numbers = [inode, mode, uid, gid, links, mtime, bytes.length, ...device, nameBytes, checksum];
  const header = `070701${numbers.map((number) => number.toString(16).padStart(8, "0")).join("")}`;
  return [filled(Buffer.from(`${header}${name}\0`)), filled(bytes)];
}

function filled(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
