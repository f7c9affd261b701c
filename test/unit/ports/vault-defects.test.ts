/**
 * Every known defect of `node-vault` 0.12, and that it knows one server only, on a server that behaves badly on a real TLS socket: each test fails when the
 * repair is taken out.
 */
import { spawn } from "node:child_process";
import { once, setMaxListeners } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { TLSSocket } from "node:tls";
import { type Ca, issue, makeCa } from "@muster/ports/csr";
import { openVault, type Vault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import * as z from "zod";
import { encodePath } from "../../../packages/ports/src/vault-paths.ts";
import { keepRenewed, planRenewal } from "../../../packages/ports/src/vault-renewal.ts";
import { assertWithin } from "../../kit/figures.ts";
import { suite } from "../../kit/suite.ts";

const TOKEN = "hvs.CANARYtokenCANARYtokenCANARY";
const WHOLE = z.unknown();

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

suite("vault port: defects of node-vault", (test) => {
  const life = new AbortController();
  setMaxListeners(0, life.signal);
  const servers: Server[] = [];
  let ca: Ca;

  test.before(async () => {
    ca = await makeCa({ common_name: "test", not_after: Date.now() + 3_600_000 });
  });
  test.after(() => {
    life.abort();
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  });

  /** A TLS server that answers as told, and counts handshakes and requests. */
  async function badVault(answer: Answer) {
    const pair = await issue(ca, {
      common_name: "x",
      dns_names: ["vault.test"],
      ip_addresses: ["127.0.0.1"],
      not_after: Date.now() + 3_600_000,
    });
    const seen: { method: string; url: string; token: string | undefined }[] = [];
    const server = createServer(
      { cert: pair.certificate_pem, key: pair.private_pem },
      (request, response) => {
        const token = request.headers["x-vault-token"];
        seen.push({
          method: request.method ?? "",
          url: request.url ?? "",
          token: token === undefined ? token : String(token),
        });
        const chunks: Buffer[] = [];
        request.on("data", (chunk: Buffer) => chunks.push(chunk));
        request.on("end", () => answer(request, response, Buffer.concat(chunks).toString()));
      },
    );
    let handshakes = 0;
    server.on("secureConnection", (_socket: TLSSocket) => handshakes++);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    servers.push(server);
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const url = `https://127.0.0.1:${address.port}`;
    const open = (timeout_ms = 15_000): Vault =>
      openVault({ addresses: [url], ca_pem: ca.certificate_pem, timeout_ms }, life.signal).withToken(TOKEN);
    return { url, open, seen, handshakes: () => handshakes, server };
  }

  const say = (status: number, body: unknown, headers: Record<string, string> = {}): Answer => {
    return (_request, response) => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(JSON.stringify(body));
    };
  };

  async function failure(work: Promise<unknown>): Promise<FleetError> {
    try {
      await work;
    } catch (error) {
      if (error instanceof FleetError) return error;
      throw error;
    }
    throw new Error("no error came");
  }

  test("1: a life of 768 h makes no storm of renewals", async () => {
    const plan = planRenewal({ ttl_s: 768 * 3600, granted_s: 768 * 3600, renewable: true }, false, 0.5);
    assert.equal(plan, { verb: "renew", after_ms: 384 * 3_600_000 });
    let calls = 0;
    const count = async () => {
      calls++;
      return { ttl_s: 5_000_000, granted_s: 5_000_000, renewable: true };
    };
    const end = new AbortController();
    const kept = keepRenewed(
      { ttl_s: 5_000_000, granted_s: 5_000_000, renewable: true },
      { lookup: count, renew: count },
      end.signal,
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    end.abort();
    await kept;
    assert.is(calls, 0);
  });

  test("2: one failed renewal is not the end", async () => {
    let calls = 0;
    const renew = async () => {
      calls++;
      if (calls <= 2) throw new FleetError("VAULT_UNREACHABLE", "503");
      return { ttl_s: 3_600, granted_s: 3_600, renewable: true };
    };
    const end = new AbortController();
    const kept = keepRenewed(
      { ttl_s: 0.5, granted_s: 0.5, renewable: true },
      { lookup: renew, renew },
      end.signal,
    );
    const deadline = Date.now() + 30_000;
    while (calls < 3 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
    end.abort();
    await kept;
    assert.is(calls, 3);
  });

  test("3: a server that never answers costs the time limit and no more", async () => {
    const vault = await badVault(() => undefined);
    const began = Date.now();
    const error = await failure(vault.open(300).read("sys/mounts", WHOLE));
    assert.is(error.code, "VAULT_UNREACHABLE");
    assertWithin(Date.now() - began, 1_000);
    const half = await badVault((_request, response) => void response.write('{"data":'));
    assert.is((await failure(half.open(300).read("sys/mounts", WHOLE))).code, "VAULT_UNREACHABLE");
  });

  test("3: a write that may have been carried out is not sent again elsewhere", async () => {
    const slow = await badVault(() => undefined);
    const other = await badVault(say(200, { data: {} }));
    const options = { addresses: [slow.url, other.url], ca_pem: ca.certificate_pem, timeout_ms: 1_500 };
    const vault = openVault(options, life.signal).withToken(TOKEN);
    const error = await failure(vault.write("pki/sign/x", { csr: "x" }));
    assert.match(error.detail, /may have been carried out/);
    assert.is(other.seen.length, 0);
    await vault.read("sys/mounts", WHOLE);
    assert.is(other.seen.length, 1);
  });

  test("9: servers without a leader are asked again until they have one, and not for ever", async () => {
    const none = say(500, { errors: ["local node not active but active cluster node not found"] });
    let elected = 0;
    const first = await badVault((...call) =>
      (elected++ < 2 ? none : say(200, { data: { ok: 1 } }))(...call),
    );
    const second = await badVault(say(307, {}, { location: "https://192.0.2.1:8200/v1/x" }));
    const addresses = [first.url, second.url];
    const open = (patience_ms: number) =>
      openVault({ addresses, ca_pem: ca.certificate_pem, patience_ms }, life.signal).withToken(TOKEN);
    // A write too: who says so has carried out nothing.
    assert.equal(await open(5_000).write("kv/data/x", { word: 1 }), { ok: 1 });
    assert.is(first.seen.length, 3);
    elected = -1_000;
    const began = Date.now();
    const error = await failure(open(300).write("kv/data/x", { word: 1 }));
    assert.is(error.code, "VAULT_UNREACHABLE");
    assert.match(error.detail, /without a leader/);
    assertWithin(Date.now() - began, 2_000);
  });

  test("9: a KV store that is being converted is asked again, and not for ever", async () => {
    const words = "Waiting for the primary to upgrade from non-versioned to versioned data.";
    const converting = say(400, { errors: [`${words} This backend will be unavailable for a brief period`] });
    let asked = 0;
    const server = await badVault((...call) =>
      (asked++ < 2 ? converting : say(200, { data: { ok: 1 } }))(...call),
    );
    const open = (patience_ms: number) =>
      openVault({ addresses: [server.url], ca_pem: ca.certificate_pem, patience_ms }, life.signal).withToken(
        TOKEN,
      );
    assert.equal(await open(5_000).write("kv/data/x", { word: 1 }), { ok: 1 });
    assert.is(server.seen.length, 3);
    asked = -1_000;
    const error = await failure(open(300).write("kv/data/x", { word: 1 }));
    assert.is(error.code, "VAULT_UNREACHABLE");
    assert.match(error.detail, /Waiting for the primary/);
  });

  test("9: a signature is asked of the next server when one falls silent in mid-request", async () => {
    const slow = await badVault(() => undefined);
    const other = await badVault(say(200, { data: { ok: 1 } }));
    const options = { addresses: [slow.url, other.url], ca_pem: ca.certificate_pem, timeout_ms: 1_500 };
    const vault = openVault(options, life.signal).withToken(TOKEN);
    const answer = await vault.write("transit/sign/x", { input: "" }, WHOLE, { repeatable: true });
    assert.equal(answer, { ok: 1 });
    assert.is(slow.seen.length, 1);
  });

  test("4: a redirect is not followed, the token stays", async () => {
    const thief = await badVault(say(200, { data: {} }));
    for (const status of [301, 302, 307, 308]) {
      const vault = await badVault(say(status, {}, { location: `${thief.url}/v1/sys/mounts` }));
      const error = await failure(vault.open().read("sys/mounts", WHOLE));
      assert.is(error.code, "VAULT_UNREACHABLE");
      assert.match(error.detail, /redirects/);
    }
    assert.is(thief.seen.length, 0);
  });

  test("5: errors hold neither token nor payload", async () => {
    // A token without the shape of one, so that only knowing it helps.
    const plain = "CANARY-token-of-no-known-shape";
    const echo = await badVault((request, response, body) => {
      response.writeHead(400, { "content-type": "application/json" });
      response.end(JSON.stringify({ errors: [`bad ${body} from ${request.headers["x-vault-token"]}`] }));
    });
    const broken = await badVault((request) => request.socket.destroy());
    const payload = { data: { word: "CANARY payload of several words", list: ["CANARYitem"] } };
    for (const [vault, code] of [
      [echo, "VAULT_REFUSED"],
      [broken, "VAULT_UNREACHABLE"],
    ] as const) {
      const error = await failure(vault.open().withToken(plain).write("secret/data/x", payload));
      assert.is(error.code, code);
      const all = [
        error.message,
        error.detail,
        error.stack,
        String(error.cause),
        JSON.stringify(error),
      ].join();
      assert.not.match(all, /CANARY|known-shape/);
      assert.is(error.cause, undefined);
    }
  });

  test("5: DEBUG=node-vault prints nothing", async () => {
    const vault = await badVault(say(200, { data: { word: "CANARYanswer" } }));
    // The library reads DEBUG when it is loaded: this needs a process of its own.
    const script = `
      import { openVault } from "@muster/ports/vault";
      import * as z from "zod";
      const vault = openVault({ addresses: [process.env.URL], ca_pem: process.env.CA }, new AbortController().signal);
      await vault.withToken("CANARYtoken").write("secret/data/x", { word: "CANARYpayload" }, z.unknown());
      console.log("written");
      process.exit(0);`;
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
      env: { ...process.env, DEBUG: "*", URL: vault.url, CA: ca.certificate_pem },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
    await once(child, "close");
    assert.match(output, /written/, output);
    assert.not.match(output, /CANARY/);
    assert.is(vault.seen.length, 1);
  });

  test("6: twenty requests, one TLS handshake", async () => {
    const vault = await badVault(say(200, { data: { ok: true } }));
    const open = vault.open();
    for (let count = 0; count < 20; count++) await open.read("sys/mounts", WHOLE);
    assert.is(vault.seen.length, 20);
    assert.is(vault.handshakes(), 1);
  });

  test("6: a burst opens a few connections, and the next burst uses them", async () => {
    const vault = await badVault(say(200, { data: { ok: true } }));
    const open = vault.open(10_000);
    const burst = () => Promise.all(Array.from({ length: 100 }, () => open.read("sys/mounts", WHOLE)));
    await burst();
    const first = vault.handshakes();
    assert.ok(first <= 32, `${first} handshakes`);
    await burst();
    assert.is(vault.handshakes(), first);
  });

  test("7: no name leaves its segment", async () => {
    const vault = await badVault(say(200, { data: {} }));
    const open = vault.open();
    const odd = [
      "secret/data/../../sys/raw/x",
      "a//b",
      "/a",
      "a/",
      "a/./b",
      "",
      "a/\u0000b",
      "a\\..\\b",
      "a/\ud800",
      "a/ b",
    ];
    for (const path of odd) {
      assert.is((await failure(open.read(path, WHOLE))).code, "INVALID", JSON.stringify(path));
    }
    assert.is((await failure(open.read(["secret", "a/b"], WHOLE))).code, "INVALID");
    assert.is(vault.seen.length, 0);
    await open.read(["secret", "a'b#c?d%2e%2e"], WHOLE);
    assert.is(vault.seen[0]?.url, "/v1/secret/a'b%23c%3Fd%252e%252e");
    assert.is(encodePath("a/b c"), "a/b%20c");
  });

  test("8: VAULT_* of the environment means nothing", async () => {
    const names = [
      "VAULT_ADDR",
      "VAULT_TOKEN",
      "VAULT_NAMESPACE",
      "VAULT_PREFIX",
      "VAULT_SKIP_VERIFY",
      "HTTPS_PROXY",
    ];
    const saved = names.map((name) => [name, process.env[name]] as const);
    for (const name of names) process.env[name] = name === "HTTPS_PROXY" ? "http://127.0.0.1:1" : "/evil";
    try {
      const vault = await badVault(say(200, { data: {} }));
      const anonymous = openVault({ addresses: [vault.url], ca_pem: ca.certificate_pem }, life.signal);
      await anonymous.read("pki/ca/pem", WHOLE);
      assert.equal(vault.seen[0], { method: "GET", url: "/v1/pki/ca/pem", token: undefined });
      const other_ca = await makeCa({ common_name: "other", not_after: Date.now() + 3_600_000 });
      const wrong = openVault({ addresses: [vault.url], ca_pem: other_ca.certificate_pem }, life.signal);
      const error = await failure(wrong.withToken(TOKEN).read("sys/mounts", WHOLE));
      assert.is(error.code, "VAULT_UNREACHABLE");
      assert.match(error.detail, /certificate/);
      assert.is(vault.seen.length, 1);
    } finally {
      for (const [name, value] of saved) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  test("8: a log-in leaves other identities alone, other good codes are good", async () => {
    const vault = await badVault((request, response) => {
      const login = request.url?.includes("login") === true;
      response.writeHead(login ? 200 : 202, { "content-type": "application/json" });
      response.end(
        JSON.stringify(
          login ? { auth: { client_token: "hvs.other", lease_duration: 60 } } : { data: { ok: 1 } },
        ),
      );
    });
    const first = vault.open();
    const second = await first.loginUserpass("anna", "secret word");
    await first.read("a/b", WHOLE);
    await second.read("a/b", WHOLE);
    assert.equal(
      vault.seen.map((request) => request.token),
      [undefined, TOKEN, "hvs.other"],
    );
  });

  test("the certificate must be for the address, or for the name that is asked for", async () => {
    const vault = await badVault(say(200, { data: {} }));
    const port = new URL(vault.url).port;
    const named = { addresses: [`https://127.0.0.1:${port}`], ca_pem: ca.certificate_pem };
    await openVault({ ...named, server_name: "vault.test" }, life.signal).read("a", WHOLE);
    const error = await failure(
      openVault({ ...named, server_name: "other.test" }, life.signal).read("a", WHOLE),
    );
    assert.match(error.detail, /another name/);
  });

  test("a token that cannot be a header and an address that is no address are refused without being shown", () => {
    const open = openVault({ addresses: ["https://127.0.0.1:1"], ca_pem: ca.certificate_pem }, life.signal);
    assert.throws(
      () => open.withToken("CANARY\r\nx: y"),
      (error: unknown) =>
        error instanceof FleetError && error.code === "INVALID" && !error.message.includes("CANARY"),
    );
    for (const address of ["http://127.0.0.1:8200", "127.0.0.1:8200", "https://u:p@x", "https://x/v1"]) {
      assert.throws(
        () => openVault({ addresses: [address], ca_pem: ca.certificate_pem }, life.signal),
        (error: unknown) => error instanceof FleetError && error.code === "CONFIG",
      );
    }
  });
});
