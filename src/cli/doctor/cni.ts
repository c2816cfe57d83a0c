// The runtime's side: its configuration directory, and the executables it starts.
import { assertServable, toldMtu } from "../../cni/endpoint.ts";
import { CniError, Code, errorObject } from "../../cni/error.ts";
import { readNode } from "../../cni/node.ts";
import { VERSION } from "../../generated/version.ts";
import { join } from "../../paths.ts";
import { type ConfFile, isOurs } from "../node/configuration.ts";
import type { Network } from "../node/node.ts";
import { output, ownExecutable } from "../program.ts";
import { type Check, counted, error, type Finding, fine, found, warning } from "./check.ts";
import { ifRight } from "./ranges.ts";

const EXAMPLE = JSON.stringify({
  cniVersion: "1.0.0",
  name: "podnet",
  plugins: [{ type: "slash32", ipam: { ranges: [[{ subnet: "10.20.1.0/24" }]] } }],
});

const present: Check = {
  title: "a configuration names slash32",
  run(node) {
    const ours = node.confFiles().filter(isOurs);
    const { path } = node.confDir;
    const findings: Finding[] = [];
    if (ours.length === 0) {
      const seen = `no file in ${path} has a plugin of type slash32`;
      const why = "The runtime does not call slash32 for pods.";
      const command = `mkdir -p ${path} && echo '${EXAMPLE}' > ${join(path, "10-slash32.conflist")}`;
      findings.push(error(seen, why, `${command} # with the node's own range`));
    }
    return found(findings, ours.map(({ path }) => path).join(", "));
  },
};

const valid: Check = {
  title: "the configuration is one that ADD takes",
  run(node) {
    const why = "Every ADD fails with these words.";
    const refused = node.ownParts().flatMap(({ file, refusal }): Finding[] => {
      return refusal === undefined ? [] : [error(`${file.path}: ${refusal}`, why, `$EDITOR ${file.path}`)];
    });
    const findings = [...refused, ...node.networks().flatMap((network) => unservable(network, why))];
    return found(findings, node.ownParts().length > 0 ? "yes" : "there is none");
  },
};

const first: Check = {
  title: "no file before it takes its place",
  run(node) {
    const files = node.confFiles();
    const ours = files.findIndex(isOurs);
    const before = ours < 0 ? [] : files.slice(0, ours).filter(({ broken }) => broken === undefined);
    const findings = before.map(({ path, network }) => {
      const seen = `${path} (network ${JSON.stringify(network)}) comes before ${files[ours]?.path}`;
      const why = "Runtimes take the first file by name: pods get that network, and slash32 is never called.";
      return error(seen, why, putAside(path));
    });
    return found(findings, ours < 0 ? "there is none" : "it is the first");
  },
};

const loadable: Check = {
  title: "the runtime can load every file",
  run(node) {
    const files = node.confFiles();
    const ours = files.findIndex(isOurs);
    const findings = files.flatMap(({ path, broken }, at): Finding[] => {
      if (broken === undefined) return [];
      const seen = `${path} cannot be loaded: ${broken}`;
      // containerd gives up at the first file that it cannot read.
      if (ours < 0 || at < ours) {
        return [error(seen, "containerd stops at it: no pod gets a network.", putAside(path))];
      }
      return [warning(seen, "It comes after ours: it counts once ours is gone.", putAside(path))];
    });
    const count = files.length === 1 ? "1 file" : `${files.length} files`;
    return found(findings, count);
  },
};

const executables: Check = {
  title: "the plugins that it names are there",
  run(node) {
    const types = [...new Set(node.confFiles().filter(isOurs).flatMap(typesIn))];
    const findings = types.flatMap((type): Finding[] => {
      const path = join(node.binDir.path, type);
      const stats = node.binDir.files.stat(path);
      const why = `Every ADD fails: the runtime cannot start "${type}".`;
      if (stats === undefined) return [error(`${path} is missing`, why, installation(type, path))];
      if (stats.kind !== "file") return [error(`${path} is no plain file`, why, installation(type, path))];
      if ((stats.mode & 0o111) === 0) return [error(`${path} is not executable`, why, `chmod 0755 ${path}`)];
      return [];
    });
    return found(findings, types.join(", ") || "none are named");
  },
};

const loopback: Check = {
  title: "the loopback plugin is there",
  run(node) {
    const path = join(node.binDir.path, "loopback");
    if (node.binDir.files.exists(path)) return fine(path);
    const why = "CRI-O and containerd before 2.0 start it for every pod, whatever is configured.";
    return found([warning(`${path} is missing`, why, installation("loopback", path))], "");
  },
};

/** Where libcni, and with it containerd and CRI-O, keeps what ADD answered: written in place, by a process that may be killed. */
const RESULTS = "/var/lib/cni/results";

const results: Check = {
  title: "what the runtime remembers of pods can be read",
  run({ files }) {
    const names = files.list(RESULTS);
    const findings = names.flatMap((name): Finding[] => {
      const path = join(RESULTS, name);
      const reason = unreadable(files.read(path));
      if (reason === undefined) return [];
      const why =
        "The runtime was ended while it wrote this, and cannot remove that pod: it asks for the result first.";
      return [error(`${path} ${reason}`, why, `rm ${path}`)];
    });
    return found(findings, counted(names.length, "result"));
  },
};

const ownership: Check = {
  title: "nobody but root can change them",
  run(node) {
    const places = [
      { files: node.confDir.files, paths: node.confFiles().map(({ path }) => path), mode: "0600" },
      {
        files: node.binDir.files,
        paths: ["slash32", ...node.confFiles().filter(isOurs).flatMap(typesIn)].map((type) =>
          join(node.binDir.path, type),
        ),
        mode: "0755",
      },
      { files: node.confDir.files, paths: [node.confDir.path], mode: "0755" },
      { files: node.binDir.files, paths: [node.binDir.path], mode: "0755" },
    ];
    const findings = places.flatMap(({ files, paths, mode }) =>
      [...new Set(paths)].flatMap((path): Finding[] => {
        const stats = files.stat(path);
        const why = "The runtime runs this as root: who can change it owns the node.";
        if (stats && stats.uid !== 0)
          return [error(`${path} belongs to user ${stats.uid}`, why, `chown root:root ${path}`)];
        if (stats && (stats.mode & 0o022) !== 0) {
          const seen = `${path} can be written by others (${(stats.mode & 0o777).toString(8).padStart(4, "0")})`;
          return [error(seen, why, `chmod ${mode} ${path}`)];
        }
        return [];
      }),
    );
    return found(findings, "yes");
  },
};

const sameVersion: Check = {
  title: "the runtime starts this version",
  run(node) {
    const path = join(node.binDir.path, "slash32");
    const seenPath = join(node.binDir.files.root, path);
    const stats = node.binDir.files.stat(path);
    if (stats?.kind !== "file" || (stats.mode & 0o111) === 0) return fine("there is none to compare");
    const { CNI_COMMAND: _, ...environment } = process.env;
    const answer = output([seenPath, "--version"], environment);
    if (answer.kind === "done" && answer.text.trim() === `slash32 ${VERSION}`) return fine(VERSION);
    const said = answer.kind === "done" ? JSON.stringify(answer.text.trim()) : `nothing (${answer.reason})`;
    const why = "What is told here of ADD and CHECK may not be what the runtime's version does.";
    const type = `install -m 0755 ${ownExecutable()} ${path}`;
    return found([warning(`${path} --version says ${said}; this is slash32 ${VERSION}`, why, type)], "");
  },
};

export const CNI: readonly Check[] = [
  present,
  valid,
  first,
  loadable,
  executables,
  loopback,
  results,
  ownership,
  sameVersion,
];

/** What the schema cannot tell. That node.json is not there yet, or is wrong, is told of that file. */
function unservable({ part, document, stateDir }: Network, why: string): Finding[] {
  if (part === undefined || ifRight(() => readNode(stateDir)) === undefined) return [];
  try {
    assertServable(document, stateDir, toldMtu(document, stateDir));
    return [];
  } catch (reason) {
    if (!(reason instanceof CniError)) throw reason;
    if (reason.code !== Code.invalidConfig) return [];
    const words = errorObject(reason, part.file.cniVersion).msg;
    return [error(`${part.file.path}: ${words}`, why, `$EDITOR ${part.file.path}`)];
  }
}

function unreadable(text: string | undefined): string | undefined {
  if (text === undefined) return undefined; // removed since it was listed, or no plain file
  if (text === "") return "is empty";
  try {
    JSON.parse(text);
    return undefined;
  } catch {
    return "is not JSON";
  }
}

/** Plugins of the chain, and the IPAM plugins that they start in turn. */
function typesIn({ plugins }: ConfFile): string[] {
  return plugins.flatMap(({ type, ipam }) => {
    const delegate = (ipam as { type?: unknown } | undefined)?.type;
    return typeof delegate === "string" ? [type, delegate] : [type];
  });
}

/** Runtimes look at .conf, .conflist and .json alone. */
function putAside(path: string): string {
  return `mv ${path} ${path}.off`;
}

function installation(type: string, path: string): string {
  if (type === "slash32") return `install -m 0755 ${ownExecutable()} ${path}`;
  return `apt-get install containernetworking-plugins && install -m 0755 /usr/lib/cni/${type} ${path}`;
}
