// An HTTPS client against a real server: whom it trusts, what it reads, and how long it waits.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Address, parseAddress } from "../../src/address.ts";
import { Namespace } from "../../src/datapath/netns.ts";
import { get } from "../../src/https/https.ts";
import { ApiServer, type ServedAnswer } from "../helpers/api-server.ts";
import { TestAuthority } from "../helpers/certificates.ts";
import { TestNetns } from "../helpers/lab.ts";
import { thrown } from "../helpers/thrown.ts";

const NAME = "kubernetes.default.svc";
const ADDRESSES = ["10.96.0.1", "10.96.0.2", "10.96.0.3", "10.96.0.4", "10.96.0.5", "fd00:96::1"] as const;
type Known = (typeof ADDRESSES)[number];

let authority: TestAuthority;
let below: TestAuthority;
let netns: TestNetns;
let namespace: Namespace;
const servers = new Map<Known, ApiServer>();

beforeAll(async () => {
  authority = new TestAuthority();
  below = new TestAuthority(authority);
  netns = new TestNetns("api");
  netns.ipBatch("link set lo up", ...ADDRESSES.map((address) => `address add ${address} dev lo`));
  namespace = Namespace.open(netns.path);
  const claims = {
    "10.96.0.1": { names: ["IP:10.96.0.1"] },
    "10.96.0.2": { names: [`DNS:${NAME}`] },
    "10.96.0.3": { names: ["IP:10.96.0.1", "DNS:kubernetes.example"] },
    "10.96.0.4": { names: ["IP:10.96.0.4"], expired: true },
    "10.96.0.5": { names: ["IP:10.96.0.5"] },
    "fd00:96::1": { names: ["IP:fd00:96::1"] },
  };
  for (const address of ADDRESSES) {
    const signer = address === "10.96.0.5" ? below : authority;
    servers.set(address, await ApiServer.start(netns, address, signer.sign(claims[address])));
  }
});

afterAll(() => {
  for (const server of servers.values()) server[Symbol.dispose]();
  namespace[Symbol.dispose]();
  netns[Symbol.dispose]();
  below[Symbol.dispose]();
  authority[Symbol.dispose]();
});

type Asked = {
  readonly answer?: ServedAnswer;
  readonly token?: string;
  readonly caFile?: string;
  readonly timeoutMs?: number;
  readonly port?: number;
};

function ask(at: string, { answer, token = "right", caFile, timeoutMs = 5000, port = 6443 }: Asked = {}) {
  if (answer) servers.get(at as Known)?.serve("/path", answer);
  const address = parseAddress(at) as Address;
  return namespace.inside(() =>
    get(
      { address, port },
      {
        path: "/path",
        token,
        caFile: caFile ?? authority.caFile,
        name: NAME,
        deadline: performance.now() + timeoutMs,
      },
    ),
  );
}

describe("a server is trusted", () => {
  test.each(["10.96.0.1", "fd00:96::1"])("by its address %s", (address) => {
    expect(ask(address, { answer: { body: { told: true } } })).toEqual({
      status: 200,
      reason: "OK",
      body: '{"told":true}',
    });
  });

  test("by its name", () => {
    expect(ask("10.96.0.2", { answer: { body: 1 } }).body).toBe("1");
  });

  test("by an authority that is not its own root: a company's is above the cluster's", () => {
    expect(ask("10.96.0.5", { answer: { body: 1 }, caFile: below.caFile }).body).toBe("1");
  });
});

describe("a server is not trusted, and gets no token,", () => {
  const refused = (at: string, asked: Asked = {}) => thrown(() => ask(at, asked));

  test("when another authority signed its certificate", () => {
    using other = new TestAuthority();
    expect(refused("10.96.0.1", { caFile: other.caFile })).toMatchObject({
      code: "untrusted",
      message: expect.stringMatching(/^Cannot trust the server's certificate: .*(issuer|signature)/),
    });
  });

  test("when a sibling of its authority is all that is trusted", () => {
    using sibling = new TestAuthority(authority);
    expect(refused("10.96.0.5", { caFile: sibling.caFile })).toMatchObject({ code: "untrusted" });
  });

  test("when the certificate is another server's", () => {
    expect(refused("10.96.0.3")).toMatchObject({
      code: "untrusted",
      message: `Cannot trust the server's certificate: it is made out neither to 10.96.0.3 nor to ${NAME}`,
    });
  });

  test("when the certificate has expired", () => {
    expect(refused("10.96.0.4")).toMatchObject({
      code: "untrusted",
      message: "Cannot trust the server's certificate: certificate has expired",
    });
  });

  test("when there are no certificates to trust", () => {
    const path = join(authority.directory, "none.crt");
    expect(refused("10.96.0.1", { caFile: path }).message).toBe(
      `Cannot read certificates from ${path}: No such file or directory`,
    );
    writeFileSync(path, "no certificate");
    expect(refused("10.96.0.1", { caFile: path }).message).toContain(
      `Cannot read certificates from ${path}: no`,
    );
  });
});

describe("an answer", () => {
  const long = { text: "x".repeat(100_000) };

  test.each([
    ["with its length", {}],
    ["in chunks", { how: "chunked" as const }],
  ])("%s is read whole", (_, how) => {
    expect(JSON.parse(ask("10.96.0.1", { answer: { body: long, ...how } }).body)).toEqual(long);
  });

  test.each([
    [401, "Unauthorized", { token: "wrong" }],
    [403, "Forbidden", { answer: { status: 403 } }],
    [404, "Not Found", { answer: { status: 404 } }],
  ])("of status %d is an answer: %s", (status, reason, asked) => {
    expect(ask("10.96.0.1", asked)).toMatchObject({ status, reason });
  });

  test("that is cut off is none", () => {
    expect(thrown(() => ask("10.96.0.1", { answer: { body: long, how: "cut" } }))).toMatchObject({
      code: "broken",
      message: expect.stringMatching(/^Cannot receive: /),
    });
  });

  test("that does not come is not waited for", () => {
    const started = performance.now();
    expect(thrown(() => ask("10.96.0.1", { answer: { how: "silent" }, timeoutMs: 300 }))).toMatchObject({
      code: "timeout",
      message: "Cannot receive: the server does not answer",
    });
    expect(performance.now() - started).toBeLessThan(3000);
  });
});

test.each([
  ["nobody listens", "10.96.0.1", { port: 6444 }, "ECONNREFUSED"],
  ["no route leads there", "10.97.0.1", {}, "ENETUNREACH"],
])("where %s, connect(2) tells so", (_, address, asked, code) => {
  expect(thrown(() => ask(address, asked))).toMatchObject({ code });
});

test("where nothing comes back, waiting ends", () => {
  netns.exec("nft", "add table ip silent; add chain ip silent in { type filter hook input priority 0; }");
  netns.exec("nft", "add rule ip silent in tcp dport 6445 drop");
  expect(thrown(() => ask("10.96.0.1", { port: 6445, timeoutMs: 300 }))).toMatchObject({ code: "ETIMEDOUT" });
});
