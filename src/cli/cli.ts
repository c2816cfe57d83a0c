// What people get who type `slash32` at a prompt.
import { VERSION } from "../generated/version.ts";

export interface Terminal {
  out(text: string): void;
  err(text: string): void;
}

interface Command {
  readonly summary: string;
  run(args: readonly string[], terminal: Terminal): number | Promise<number>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  "--help": {
    summary: "print this",
    run(_, { out }) {
      out(help());
      return 0;
    },
  },
  "--version": {
    summary: "print the version",
    run(_, { out }) {
      out(`slash32 ${VERSION}\n`);
      return 0;
    },
  },
};

const ALIASES: Readonly<Record<string, string>> = {
  "-h": "--help",
  help: "--help",
  "-v": "--version",
  version: "--version",
};

/** Runs one command and returns the exit status. */
export function run(args: readonly string[], terminal: Terminal): number | Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) {
    terminal.err(
      `slash32 is a CNI plugin: a container runtime runs it, with CNI_COMMAND in its environment.\n\n${help()}`,
    );
    return 2;
  }
  const key = ALIASES[name] ?? name;
  const command = Object.hasOwn(COMMANDS, key) ? COMMANDS[key] : undefined;
  if (command) return command.run(rest, terminal);
  terminal.err(`slash32: no command ${JSON.stringify(name)}; slash32 --help lists them\n`);
  return 2;
}

function help(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const commands = Object.entries(COMMANDS).map(
    ([name, { summary }]) => `  slash32 ${name.padEnd(width)}  ${summary}`,
  );
  return `slash32 gives every pod a single address and nothing else: a /32, a veth and a route.

Commands:
${commands.join("\n")}

As a plugin, by hand (a runtime does the same):
  ip netns add demo
  echo '{ "cniVersion": "1.1.0", "name": "podnet", "type": "slash32",
          "ipam": { "ranges": [[{ "subnet": "10.20.1.0/24" }]] } }' |
    CNI_COMMAND=ADD CNI_CONTAINERID=demo CNI_NETNS=/run/netns/demo CNI_IFNAME=eth0 slash32
`;
}
