// What people get who type `slash32` at a prompt: a table of commands.
import { VERSION } from "../generated/version.ts";
import { type Command, Exit, type Terminal, UsageError, wordsOf } from "./command.ts";
import { table } from "./paint.ts";

interface Entry {
  readonly summary: string;
  /** A command is loaded when it is called for: they are larger than the plugin. */
  load(): Promise<Command>;
}

const COMMANDS: Readonly<Record<string, Entry>> = {
  doctor: {
    summary: "look over this node: what is wrong, why it matters, what to type",
    load: () => import(/* webpackMode: "eager" */ "./doctor/doctor.ts").then(({ doctor }) => doctor),
  },
  check: {
    summary: "hold pods against what ADD made of them; --repair mends what differs",
    load: () => import(/* webpackMode: "eager" */ "./check/check.ts").then(({ check }) => check),
  },
  trace: {
    summary: "follow a packet and its answer: what it meets, what is wrong, what to type",
    load: () => import(/* webpackMode: "eager" */ "./trace/trace.ts").then(({ trace }) => trace),
  },
  ipam: {
    summary: "the store of leases: show it, hold it against the kernel, repair it",
    load: () => import(/* webpackMode: "eager" */ "./ipam/ipam.ts").then(({ ipam }) => ipam),
  },
  log: {
    summary: "what the verbs wrote down: of a pod, those that failed, or as they come",
    load: () => import(/* webpackMode: "eager" */ "./log/log.ts").then(({ log }) => log),
  },
  conflist: {
    summary: "print the configuration that this node's runtime would use",
    load: () => import(/* webpackMode: "eager" */ "./conflist.ts").then(({ conflist }) => conflist),
  },
  install: {
    summary: "put slash32 and its configuration on a node, once a pod was made for trial",
    load: () => import(/* webpackMode: "eager" */ "../install/install.ts").then(({ install }) => install),
  },
  uninstall: {
    summary: "remove all that is of slash32 on a node, and tell what remains",
    load: () =>
      import(/* webpackMode: "eager" */ "../install/uninstall.ts").then(({ uninstall }) => uninstall),
  },
  plan: {
    summary: "print what ADD would do, as a shell script",
    load: () => import(/* webpackMode: "eager" */ "./plan/plan.ts").then(({ plan }) => plan),
  },
};

/** Runs one command and returns the exit status. */
export async function run([name, ...args]: readonly string[], terminal: Terminal): Promise<number> {
  if (name === undefined) {
    terminal.err(
      `slash32 is a CNI plugin: a container runtime runs it, with CNI_COMMAND in its environment.\n`,
    );
    terminal.err(`\n${help()}`);
    return Exit.usage;
  }
  if (["--version", "-v", "version"].includes(name)) {
    terminal.out(`slash32 ${VERSION}\n`);
    return Exit.ok;
  }
  if (["--help", "-h", "help"].includes(name)) {
    terminal.out(help());
    return Exit.ok;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) return complain(`no command ${JSON.stringify(name)}`, "slash32 --help", terminal);
  return runCommand(name, await entry.load(), args, terminal);
}

async function runCommand(
  name: string,
  command: Command,
  args: string[],
  terminal: Terminal,
): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    terminal.out(command.help);
    return Exit.ok;
  }
  try {
    return await command.run(args, terminal);
  } catch (error) {
    if (error instanceof UsageError) return complain(error.message, `slash32 ${name} --help`, terminal);
    terminal.err(`slash32 ${name}: ${wordsOf(error)}\n`);
    return Exit.found;
  }
}

function complain(what: string, hint: string, { err }: Terminal): number {
  err(`slash32: ${what}; ${hint} tells more\n`);
  return Exit.usage;
}

function help(): string {
  const rows = [
    ...Object.entries(COMMANDS).map(([name, { summary }]) => [`  slash32 ${name}`, summary]),
    ["  slash32 --version", "print the version"],
    ["  slash32 --help", "print this; after a command: print its options and examples"],
  ];
  return `slash32 gives every pod a single address and nothing else: a /32, a veth and a route.

Commands:
${table(rows).join("\n")}

As a plugin, by hand (a runtime does the same):
  ip netns add demo
  echo '{ "cniVersion": "1.1.0", "name": "podnet", "type": "slash32",
          "ipam": { "ranges": [[{ "subnet": "10.20.1.0/24" }]] } }' |
    CNI_COMMAND=ADD CNI_CONTAINERID=demo CNI_NETNS=/run/netns/demo CNI_IFNAME=eth0 slash32
`;
}
