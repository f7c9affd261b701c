/** Every way of asking against real servers on loopback: what answers, what does not, and in whose words. */
import { createSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { createServer as createHttp } from "node:http";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tcp, tls } from "@muster/agent/checks/connection";
import { dns } from "@muster/agent/checks/dns";
import { http } from "@muster/agent/checks/http";
import { answersKafka } from "@muster/agent/checks/kafka";
import { command, icmp, unitOf } from "@muster/agent/checks/program";
import type { Answer, CheckDoor, MakeWay } from "@muster/agent/checks/way";
import { createRun } from "@muster/agent/ports/index";
import { Check } from "@muster/protocol/resources/check";
import * as assert from "uvu/assert";
import { freePort, temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import { type LoopbackTls, loopbackTls } from "../../../kit/tls.ts";

suite("ways of asking", (test) => {
  const life = new AbortController();
  const open: { close(): void }[] = [];
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let papers: LoopbackTls;
  let fleet_ca = "";
  const door = {
    ports: { run: createRun(), now: Date.now, confined: null },
    bgp: () => null,
    fleetCa: () => fleet_ca,
  } as unknown as CheckDoor;

  const ask = (way: MakeWay, spec: object, signal = AbortSignal.timeout(5_000)): Promise<Answer> =>
    way(Check.parse(spec), door)(signal);
  const why = async (way: MakeWay, spec: object): Promise<string> => {
    const answer = await ask(way, spec);
    return answer.ok === true ? "up" : `${answer.ok === false ? "down" : "blind"}: ${answer.why}`;
  };
  const listen = async (server: Server): Promise<number> => {
    open.push(server);
    // A connection that ends early is what some of these tests are about.
    server.on("connection", (socket: Socket) => socket.on("error", () => undefined));
    await new Promise<void>((resolve) => server.listen(0, "::1", resolve));
    return (server.address() as AddressInfo).port;
  };

  test.before(async () => {
    directory = await temporaryDirectory("checks");
    papers = await loopbackTls(directory.path);
  });
  test.after(async () => {
    life.abort();
    for (const each of open) each.close();
    await directory.release();
  });

  test("http: status, words, an answer that never ends, nobody there", async () => {
    const port = await listen(
      createHttp((request, response) => {
        if (request.url === "/long") {
          response.write("begin");
          return;
        }
        const code = Number(request.url?.slice(1));
        response.writeHead(code, code === 302 ? { location: "/500" } : {}).end('{"database":"ok"}');
      }),
    );
    const at = (path: string) => ({ http: `http://[::1]:${port}/${path}` });
    const answer = await ask(http, at("200"));
    assert.ok(answer.ok === true && answer.latency_ms !== null && answer.latency_ms > 0);
    assert.is(await why(http, at("302")), "up", "what it sends elsewhere is not followed");
    assert.is(await why(http, { ...at("200"), contains: '"ok"' }), "up");
    assert.is(await why(http, at("503")), "down: answers 503 Service Unavailable");
    assert.is(await why(http, { ...at("200"), status: 404 }), "down: answers 200 OK, 404 asked for");
    assert.is(await why(http, { ...at("404"), status: 404 }), "up");
    assert.match(await why(http, { ...at("200"), contains: "green" }), /down: answers 200, without "green"/);
    assert.match(
      await why(http, { http: `http://[::1]:${await freePort("::1")}/` }),
      /^down: connect ECONNREFUSED ::1/,
    );
    const long = await ask(http, { ...at("long"), contains: "end" }, AbortSignal.timeout(100));
    assert.is(long.ok, false);
  });

  test("https and tls: the fleet's own CA is believed, a stranger's is not; a name that it is not for; one that ends soon", async () => {
    const [key, cert] = await Promise.all(
      [papers.key_file, papers.certificate_file].map((file) => readFile(file)),
    );
    const port = await listen(
      createHttps({ key: key as Buffer, cert: cert as Buffer }, (_, response) => response.end("ok")),
    );
    const web = { http: `https://[::1]:${port}/` };
    const plain = { tls: `[::1]:${port}` };
    fleet_ca = "";
    for (const [way, spec] of [
      [http, web],
      [tls, plain],
    ] as const) {
      assert.match(await why(way, spec), /^down: .*(self.signed|unable to)/, "a stranger's");
      assert.is(await why(way, { ...spec, verify: false }), "up");
    }
    fleet_ca = papers.ca.certificate_pem;
    for (const [way, spec] of [
      [http, web],
      [tls, plain],
    ] as const) {
      assert.is(await why(way, spec), "up");
      assert.is(await why(way, { ...spec, valid_for: "30d" }), "up");
      assert.match(
        await why(way, { ...spec, valid_for: "400d" }),
        /^down: its certificate ends \d{4}-.*, sooner than in 400d$/,
      );
    }
    assert.is(await why(tls, { tls: `[::1]:${port}` }), "up");
    const other = await loopbackTls(directory.path, papers.ca, { dns_names: ["other.test"] });
    const [other_key, other_cert] = await Promise.all(
      [other.key_file, other.certificate_file].map((file) => readFile(file)),
    );
    const wrong = await listen(createHttps({ key: other_key as Buffer, cert: other_cert as Buffer }));
    assert.match(await why(tls, { tls: `[::1]:${wrong}` }), /^down: Hostname\/IP does not match/);
  });

  test("tcp: taken, refused; tls where nobody speaks it", async () => {
    const port = await listen(createServer((socket: Socket) => socket.end("hello\n")));
    assert.is(await why(tcp, { tcp: `[::1]:${port}` }), "up");
    assert.match(await why(tcp, { tcp: `[::1]:${await freePort("::1")}` }), /^down: connect ECONNREFUSED/);
    assert.match(await why(tls, { tls: `[::1]:${port}` }), /^down: ./);
  });

  test("dns: a record, another one, none, a server that is silent", async () => {
    const server = createSocket("udp6");
    open.push(server);
    let silent = false;
    server.on("message", (question, from) => {
      if (!silent) server.send(dnsAnswer(question), from.port, from.address);
    });
    await new Promise<void>((resolve) => server.bind(0, "::1", resolve));
    const at = { server: `[::1]:${server.address().port}` };
    assert.is(await why(dns, { ...at, dns: "www.example.test" }), "up");
    assert.is(
      await why(dns, { ...at, dns: "www.example.test", answer: "2001:DB8:0::80" }),
      "up",
      "however it is written",
    );
    assert.is(
      await why(dns, { ...at, dns: "www.example.test", answer: "2001:db8::81" }),
      "down: answers 2001:db8::80, 2001:db8::81 asked for",
    );
    assert.match(await why(dns, { ...at, dns: "gone.example.test" }), /^down: queryAaaa ENOTFOUND gone/);
    silent = true;
    const answer = await ask(dns, { ...at, dns: "www.example.test" }, AbortSignal.timeout(100));
    assert.is(answer.ok, false);
  });

  test("icmp: ::1 answers; an address of no host does not", async () => {
    const answer = await ask(icmp, { icmp: "::1" });
    assert.ok(
      answer.ok === true && answer.latency_ms !== null && answer.latency_ms < 1_000,
      JSON.stringify(answer),
    );
    assert.match(
      await why(icmp, { icmp: "2001:db8::dead", timeout: "1s" }),
      /^down: (no reply within 1s|.*unreachable)/,
      "with a way out and without",
    );
    const none = {
      ...door,
      ports: {
        ...door.ports,
        run: (_: string, ...rest: never[]) =>
          createRun()("no-such-ping", ...(rest as unknown as [never, never, never])),
      },
    } as unknown as CheckDoor;
    assert.equal(await icmp(Check.parse({ icmp: "::1" }), none)(life.signal), {
      ok: null,
      why: "there is no ping here (package iputils-ping)",
    });
  });

  test("a command: a unit with a user and limits; its own words; never beside systemd or below a prefix", async () => {
    const check = Check.parse({
      command: ["/usr/lib/nagios/plugins/check_mailq", "-w", "10"],
      timeout: "3s",
    });
    const argv = unitOf(check, "muster-check-1");
    for (const each of [
      "DynamicUser=yes",
      "RuntimeMaxSec=3",
      "MemoryMax=128M",
      "TasksMax=32",
      "NoNewPrivileges=yes",
      "CapabilityBoundingSet=",
    ])
      assert.ok(argv.includes(`--property=${each}`), each);
    assert.equal(argv.slice(argv.indexOf("--")), ["--", "/usr/bin/env", "--", ...(check.command ?? [])]);
    assert.ok(
      unitOf(Check.parse({ command: ["x"], user: "nagios" }), "u").includes("--property=User=nagios"),
    );
    const said = async (code: number, stdout: string, stderr = "", more: object = {}) => {
      const ports = {
        ...{ now: Date.now, confined: null, systemd: { available: async () => true } },
        runStreamed: async (
          _program: string,
          _argv: string[],
          { on_output }: { on_output(from: string, text: string): void },
        ) => {
          on_output("stdout", stdout);
          on_output("stderr", stderr);
          return { code, ended_by: null };
        },
        ...more,
      };
      const answer = await command(check, { ...door, ports } as unknown as CheckDoor)(life.signal);
      return answer.ok === true ? "up" : `${answer.ok === false ? "down" : "blind"}: ${answer.why}`;
    };
    assert.is(await said(0, "OK: empty\n"), "up");
    assert.is(
      await said(2, "CRITICAL: 57 mails|unsent=57\n"),
      "down: CRITICAL: 57 mails|unsent=57 (ended with 2)",
    );
    assert.is(
      await said(127, "", "env: 'x': No such file\n"),
      "down: env: 'x': No such file (ended with 127)",
    );
    assert.is(await said(1, ""), "down: ended with 1");
    assert.match(
      await said(0, "", "", { confined: "this agent manages /x only" }),
      /^blind: .*manages \/x only/,
    );
    assert.match(
      await said(0, "", "", { systemd: { available: async () => false } }),
      /^blind: there is no systemd/,
    );
  });

  test("kafka: a broker answers before any log-in; what is none does not pass for one", async () => {
    const broker = await listen(
      createServer((socket) =>
        socket.on("data", (question) => {
          // Api key and version of the question, then its correlation: error 0 and no keys.
          assert.equal([question.readInt16BE(4), question.readInt16BE(6)], [18, 0]);
          const answer = Buffer.alloc(14);
          answer.writeInt32BE(10);
          question.copy(answer, 4, 8, 12);
          socket.write(answer.subarray(0, 5));
          socket.write(answer.subarray(5));
        }),
      ),
    );
    assert.is(await answersKafka(`[::1]:${broker}`, AbortSignal.timeout(5_000)), null);
    const web = await listen(createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")));
    assert.is(
      await answersKafka(`[::1]:${web}`, AbortSignal.timeout(5_000)),
      "what answers there is no Kafka",
    );
    const stuck = await listen(createServer(() => undefined));
    assert.match(
      (await answersKafka(`[::1]:${stuck}`, AbortSignal.timeout(100))) ?? "",
      /^no answer in time$/,
    );
    assert.match(
      (await answersKafka(`[::1]:${await freePort("::1")}`, AbortSignal.timeout(5_000))) ?? "",
      /ECONNREFUSED/,
    );
  });

  test("what is declared wrongly is said with what would be right", () => {
    const said = (spec: object) =>
      Check.safeParse(spec)
        .error?.issues.map(({ message, path }) => `${path.join(".")} ${message}`.trim())
        .join("; ") ?? "";
    assert.match(said({}), /exactly one of http, tcp, .*; none is here/);
    assert.match(said({ tcp: "a:1", icmp: "::1" }), /here are tcp and icmp/);
    assert.match(
      said({ tcp: "2001:db8::1" }),
      /^tcp must be an address or name with a port, such as "\[2001/,
    );
    assert.match(said({ tcp: "a:70000" }), /port from 1 to 65535/);
    assert.match(said({ icmp: "-f" }), /^icmp must be an address/);
    assert.match(said({ http: "https://user:secret@x/" }), /without user and password/);
    assert.match(said({ tcp: "a:1", status: 200 }), /^status goes with http only/);
    assert.match(said({ tcp: "a:1", timeout: "11s" }), /^timeout must be from 1ms to 10s/);
    assert.match(said({ command: ["x"], user: "root" }), /must not be root/);
    assert.match(
      said({ probe: { prefix: "2001:db8::/48", counters: { file: "/x", sent: "a", received: "b" } } }),
      /give one/,
    );
  });
});

/** `www.example.test` has one AAAA; nothing else is there. RFC 1035. */
function dnsAnswer(question: Buffer): Buffer {
  const known = question.includes("www");
  const header = Buffer.from(question.subarray(0, 12));
  header.writeUInt16BE(known ? 0x8580 : 0x8583, 2);
  header.writeUInt16BE(known ? 1 : 0, 6);
  header.writeUInt16BE(0, 8);
  header.writeUInt16BE(0, 10);
  let end = 12;
  while (question[end] !== 0) end += (question[end] ?? 0) + 1;
  const asked = question.subarray(12, end + 5);
  const address = Buffer.from("20010db8000000000000000000000080", "hex");
  const record = Buffer.concat([Buffer.from("c00c001c00010000003c0010", "hex"), address]);
  return Buffer.concat([header, asked, ...(known ? [record] : [])]);
}
