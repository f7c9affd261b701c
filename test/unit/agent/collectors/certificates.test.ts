/** Certificates in real files and of a real TLS server: what they are, that they end, that they are for others, that they are not there. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer, type Server } from "node:tls";
import { certificateEvents } from "@muster/agent/collectors/certificate-judge";
import { createCertificates } from "@muster/agent/collectors/certificates";
import { createFiles } from "@muster/agent/ports/files";
import { type Ca, issue } from "@muster/ports/csr";
import { Resource } from "@muster/protocol/resources/index";
import { CertificatesSample } from "@muster/protocol/telemetry/certificates";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import { loopbackTls } from "../../../kit/tls.ts";

const DAY_MS = 86_400_000;
const { signal } = new AbortController();

suite("certificates", (test) => {
  let root: Awaited<ReturnType<typeof temporaryDirectory>>;
  let ca: Ca;
  let server: Server;
  let port = 0;
  let now = Date.now();
  const at = (path: string) => join(root.path, path);
  const pem = async (not_after: number) =>
    (
      await issue(ca, {
        common_name: "web",
        dns_names: ["web.example"],
        ip_addresses: [],
        not_after,
        also_client: false,
      })
    ).certificate_pem;
  const watch = (name: string, spec: object) =>
    Resource.parse({ kind: "certificate", name, spec, needs: [] });

  test.before(async () => {
    root = await temporaryDirectory("certificates");
    mkdirSync(at("etc"));
    const tls = await loopbackTls(root.path);
    ca = tls.ca;
    server = createServer({ cert: readFileSync(tls.certificate_file), key: readFileSync(tls.key_file) });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    port = (server.address() as AddressInfo).port;
  });
  test.after(async () => {
    server.close();
    await root.release();
  });

  const collector = (resources: Resource[], own: Parameters<typeof createCertificates>[2] = () => []) => {
    const made = createCertificates({ files: createFiles(root.path), now: () => now }, () => resources, own);
    return async () => CertificatesSample.parse(await made.look(signal));
  };
  const verdicts = ({ certificates }: CertificatesSample) =>
    certificates.map(({ name, verdict }) => [name, verdict]);

  test("files: well, about to end, ended, no certificate, for others, not there", async () => {
    writeFileSync(at("etc/well.pem"), (await pem(now + 90 * DAY_MS)) + ca.certificate_pem);
    writeFileSync(at("etc/ending.pem"), await pem(now + 2 * DAY_MS));
    writeFileSync(at("etc/ended.pem"), await pem(now - DAY_MS));
    writeFileSync(at("etc/junk.pem"), "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n");
    const look = collector([
      watch("well", { file: "/etc/well.pem", names: ["web.example"] }),
      watch("ending", { file: "/etc/ending.pem", warn: "5d" }),
      watch("ended", { file: "/etc/ended.pem" }),
      watch("junk", { file: "/etc/junk.pem" }),
      watch("other", { file: "/etc/well.pem", names: ["mail.example"] }),
      watch("gone", { file: "/etc/gone.pem" }),
    ]);
    const sample = await look();
    assert.equal(verdicts(sample), [
      ["well", "ok"],
      ["ending", "ending"],
      ["ended", "ended"],
      ["junk", "unreadable"],
      ["other", "mismatch"],
      ["gone", "missing"],
    ]);
    const [well] = sample.certificates;
    assert.equal(
      [well?.names, well?.issuer, well?.subject],
      [["web.example"], "CN=muster test CA", "CN=web"],
    );
    assert.ok((well?.chain_ends ?? 0) > now);
    assert.equal(
      sample.faults.map(({ colour, about }) => [colour, about]),
      [
        ["red", "ended"],
        ["red", "junk"],
        ["red", "other"],
        ["red", "gone"],
        ["amber", "ending"],
      ],
    );
    const words = sample.faults.map(({ what }) => what).join("\n");
    assert.match(words, /certificate other \(\/etc\/well.pem\): it is not for mail.example/);
    assert.match(words, /certificate gone \(\/etc\/gone.pem\) is not there/);
    // Close to its end it is red, in the same words: that is no new event.
    now += 1.5 * DAY_MS;
    const later = await look();
    assert.equal(later.faults.find(({ about }) => about === "ending")?.colour, "red");
    now -= 1.5 * DAY_MS;
  });

  test("one that was renewed is read anew and told; one that was removed is missing", async () => {
    writeFileSync(at("etc/renewed.pem"), await pem(now + 10 * DAY_MS));
    const look = collector([watch("renewed", { file: "/etc/renewed.pem" })]);
    const before = await look();
    writeFileSync(at("etc/renewed.pem"), await pem(now + 90 * DAY_MS));
    const after = await look();
    assert.match(
      certificateEvents(before, after)[0]?.what ?? "",
      /^certificate renewed .* is another one: until /,
    );
    assert.equal(certificateEvents(after, await look()), []);
    rmSync(at("etc/renewed.pem"));
    assert.equal(verdicts(await look()), [["renewed", "missing"]]);
  });

  test("addresses: shown by a real server, for the name that was asked for or not; one where nobody answers is red at the second time", async () => {
    const look = collector([
      watch("mine", { connect: `127.0.0.1:${port}` }),
      watch("named", { connect: `localhost:${port}`, names: ["www.example"] }),
      watch("nobody", { connect: "127.0.0.1:1" }),
    ]);
    const first = await look();
    assert.equal(verdicts(first), [
      ["mine", "ok"],
      ["named", "mismatch"],
      ["nobody", "unreachable"],
    ]);
    assert.match(first.certificates[2]?.error ?? "", "ECONNREFUSED");
    assert.equal(first.certificates[0]?.names, ["localhost", "server.test", "127.0.0.1", "0:0:0:0:0:0:0:1"]);
    // It is asked every ten minutes only, and what was seen stands for one failure.
    server.close();
    assert.is((await look()).certificates[0]?.verdict, "ok");
    now += 600_000;
    assert.is((await look()).certificates[0]?.verdict, "ok");
    now += 60_000;
    assert.is((await look()).certificates[0]?.verdict, "unreachable");
  });

  test("those that Muster gave stand there too; of their end the credentials tell", async () => {
    const own = [
      { name: "bus", not_before: now - DAY_MS, not_after: now - 1, pem: null },
      { name: "service", not_before: now - DAY_MS, not_after: now + DAY_MS, pem: await pem(now + DAY_MS) },
    ];
    const sample = await collector([], () => own)();
    assert.equal(verdicts(sample), [
      ["bus", "ended"],
      ["service", "ok"],
    ]);
    assert.is(sample.certificates[1]?.issuer, "CN=muster test CA");
    assert.equal(sample.faults, []);
    assert.is((await collector([])()).present, false);
  });
});
