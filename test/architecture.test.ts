// The arrows of the house: what may import what. Type-only imports count too.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";

const SOURCE = join(import.meta.dirname, "../src");

/** What everybody may stand on. */
const FLOOR = [
  "address.ts",
  "attachment.ts",
  "bytes.ts",
  "files.ts",
  "paths.ts",
  "directories.ts",
  "trace.ts",
  "shell.ts",
];
const KERNEL = ["datapath", "datapath/rtnetlink", "datapath/netlink"];

/** What commands for people have in common: the node as they see it, how they are called, and how they print. */
const PEOPLE = ["cli/node", "cli/command.ts", "cli/paint.ts"];

/** Each room, and each file outside of one, with all that it may import beside its own room's. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  "main.ts": ["cni", "files.ts"],
  cli: [
    ...["install", "cni", "ipam", ...KERNEL, ...FLOOR, ...PEOPLE],
    ...["generated", "lock.ts", "libc.ts", "journal.ts", "spawn.ts"],
  ],
  install: [
    ...["cni", "ipam", "datapath", "datapath/rtnetlink", "https", ...FLOOR, ...PEOPLE],
    ...["generated", "lock.ts", "libc.ts", "journal.ts"],
  ],
  "cli/node": ["cni", "ipam", ...KERNEL, ...FLOOR, "lock.ts", "libc.ts"],
  "cli/command.ts": [],
  "cli/paint.ts": [],
  cni: ["ipam", "datapath", ...FLOOR, "generated", "journal.ts"],
  ipam: [...FLOOR, "lock.ts", "libc.ts", "spawn.ts", "sqlite.ts"],
  datapath: ["datapath/rtnetlink", "datapath/netlink", ...FLOOR, "libc.ts", "sha1.ts"],
  "datapath/rtnetlink": ["datapath/netlink", "address.ts", "shell.ts"],
  "datapath/netlink": ["bytes.ts", "libc.ts", "errno.ts"],
  https: ["address.ts", "bytes.ts", "libc.ts", "errno.ts"],
  generated: [],
  engine: [],
  "journal.ts": ["files.ts", "directories.ts", "libc.ts", "lock.ts"],
  "lock.ts": ["files.ts", "libc.ts"],
  "spawn.ts": ["bytes.ts", "files.ts", "libc.ts"],
  "sqlite.ts": ["libc.ts"],
  "files.ts": ["libc.ts", "errno.ts"],
  "libc.ts": ["errno.ts"],
  "errno.ts": [],
  "directories.ts": ["files.ts", "libc.ts", "paths.ts"],
  "bytes.ts": [],
  "paths.ts": [],
  "sha1.ts": [],
  "address.ts": [],
  "attachment.ts": [],
  "trace.ts": [],
  "shell.ts": [],
};

/** cni/error.ts is the one place that turns the rooms' errors into codes, so it knows the lowest rooms' as well. */
const EXCEPTIONS: readonly string[] = [
  "cni/error.ts -> datapath/netlink/error.ts",
  "cni/error.ts -> libc.ts",
];

/** Who may know of the process beside the two that begin, and why. */
const KNOWS_PROCESS: readonly RegExp[] = [
  /^(cli\/)?main\.ts$/,
  // It ends a process that cannot come back to its own namespace.
  /^datapath\/netns\.ts$/,
  // It looks at the installation it is part of.
  /^cli\/doctor\/cni\.ts$/,
  // The programs that it starts have its environment.
  /^cli\/program\.ts$/,
];

interface Source {
  readonly path: string;
  /** Without comments. */
  readonly code: string;
  /** As they are written, or for own files as paths from src/. */
  readonly imports: readonly string[];
}

const sources: readonly Source[] = readdirSync(SOURCE, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"))
  .map((path) => {
    const text = readFileSync(join(SOURCE, path), "utf8");
    const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");
    return { path, code, imports: importsOf(code).map((name) => resolved(path, name)) };
  });

function importsOf(code: string): string[] {
  const statements = code.matchAll(/^(?:import|export)\b(?:[^;"']*?\bfrom)?\s*["']([^"']+)["']/gm);
  const calls = code.matchAll(/\bimport\(\s*["']([^"']+)["']/g);
  return [...statements, ...calls].map(([, name]) => name as string);
}

function resolved(from: string, name: string): string {
  return name.startsWith(".") ? normalize(join(dirname(from), name)) : name;
}

const isOwn = (name: string) => name.endsWith(".ts");

/** The room with the longest name that holds the file; a file outside of all is a room of its own. */
function roomOf(path: string): string {
  const rooms = Object.keys(ARROWS).filter((room) => path === room || path.startsWith(`${room}/`));
  return rooms.sort((a, b) => b.length - a.length)[0] ?? path;
}

/** Every import of an own file, as "from -> to". */
const edges = sources.flatMap(({ path, imports }) => imports.filter(isOwn).map((to) => ({ from: path, to })));

const written = ({ from, to }: { from: string; to: string }) => `${from} -> ${to}`;

test("this test sees every import that Bun's own parser sees", () => {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  for (const { path, imports } of sources) {
    const text = readFileSync(join(SOURCE, path), "utf8");
    const seen = transpiler.scanImports(text).map(({ path: name }) => resolved(path, name));
    expect({ path, missed: seen.filter((name) => !imports.includes(name)) }).toEqual({ path, missed: [] });
  }
  expect(edges.map(written)).toEqual(
    expect.arrayContaining([
      "main.ts -> cni/plugin.ts",
      "cli/main.ts -> cli/cli.ts",
      "cni/error.ts -> libc.ts",
    ]),
  );
});

test("every file has its place in a room that this test knows", () => {
  expect(sources.map(({ path }) => path).filter((path) => ARROWS[roomOf(path)] === undefined)).toEqual([]);
});

test("imports follow the arrows", () => {
  const astray = edges.filter(({ from, to }) => {
    const [room, other] = [roomOf(from), roomOf(to)];
    return room !== other && !ARROWS[room]?.includes(other);
  });
  expect(astray.map(written).filter((edge) => !EXCEPTIONS.includes(edge))).toEqual([]);
});

test("ipam and datapath never meet, and neither knows cni", () => {
  const meets = edges.filter(({ from, to }) => {
    const [room, other] = [from, to].map((path) => path.split("/")[0]);
    return (
      ["ipam", "datapath"].includes(room ?? "") &&
      ["ipam", "datapath", "cni", "cli"].includes(other ?? "") &&
      room !== other
    );
  });
  expect(meets.map(written)).toEqual([]);
});

test("the exceptions are all still needed", () => {
  expect(EXCEPTIONS.filter((edge) => !edges.map(written).includes(edge))).toEqual([]);
});

test("no file imports itself by a roundabout way", () => {
  const finished = new Set<string>();
  const cyclesFrom = (path: string, trail: readonly string[]): string[] => {
    const at = trail.indexOf(path);
    if (at >= 0) return [[...trail.slice(at), path].join(" -> ")];
    if (finished.has(path)) return [];
    finished.add(path);
    const next = edges.filter(({ from }) => from === path);
    return next.flatMap(({ to }) => cyclesFrom(to, [...trail, path]));
  };
  expect(sources.flatMap(({ path }) => cyclesFrom(path, []))).toEqual([]);
});

/** What Bun has and the executable's engine has not. */
const FOREIGN =
  /\b(Bun|Buffer|URL|crypto|console|Intl)\b[.(]|\b(require|fetch|structuredClone|queueMicrotask|set(Timeout|Interval|Immediate))\(/;

test("all that is asked of the runtime is bun:ffi, by the files that stand for a library", () => {
  const asked = sources.flatMap(({ path, imports }) =>
    imports.filter((name) => /^(bun|node):/.test(name)).map((to) => written({ from: path, to })),
  );
  expect(asked.sort()).toEqual(
    ["https/openssl.ts", "libc.ts", "spawn.ts", "sqlite.ts"].map((path) => `${path} -> bun:ffi`),
  );
  // The executable's engine (src/engine/) has none of these.
  expect(
    sources
      .filter(({ path, code }) => roomOf(path) !== "engine" && FOREIGN.test(code))
      .map(({ path }) => path),
  ).toEqual([]);
});

test("only those that begin know of the process, and a few files that say why", () => {
  const users = sources.filter(({ code, imports }) => {
    return (
      /(?<![\w.$])process\.(?!getBuiltinModule)\w|=\s*process\b/.test(code) ||
      imports.includes("node:process")
    );
  });
  const paths = users.map(({ path }) => path);
  expect(paths).toContain("main.ts");
  expect(paths.filter((path) => !KNOWS_PROCESS.some((pattern) => pattern.test(path)))).toEqual([]);
});

test("what is called pure imports nothing of the runtime", () => {
  const pure =
    /^(address|attachment|shell)\.ts$|^ipam\/range\.ts$|^datapath\/wiring\.ts$|^datapath\/rtnetlink\/|^datapath\/netlink\/(attribute|message)\.ts$/;
  const found = sources.filter(({ path }) => pure.test(path));
  expect(found.length).toBeGreaterThan(8);
  expect(
    found.flatMap(({ path, imports }) =>
      imports.filter((name) => !isOwn(name)).map((to) => written({ from: path, to })),
    ),
  ).toEqual([]);
});

test("the path of a verb loads no package: what ADD pays for is ours, Bun's and Node's", () => {
  const reached = new Set<string>();
  const visit = (path: string) => {
    if (reached.has(path)) return;
    reached.add(path);
    for (const { to } of edges.filter(({ from }) => from === path)) visit(to);
  };
  visit("cni/plugin.ts");
  expect(reached.size).toBeGreaterThan(20);
  expect([...reached].filter((path) => path.startsWith("cli/"))).toEqual([]);
  // Bun's parser drops what only the type checker reads, as the build does.
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const loaded = [...reached].flatMap((path) => {
    return transpiler.scanImports(readFileSync(join(SOURCE, path), "utf8")).map(({ path: name }) => name);
  });
  expect(
    loaded.filter((name) => !/^(\.|node:|bun:)/.test(name) && !name.startsWith("ajv/dist/runtime")),
  ).toEqual([]);
});
