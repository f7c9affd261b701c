/**
 * A real image registry (Debian's docker-registry) that wants a token, as Docker Hub does; and the server that gives tokens: to anybody for
 * `public/…`, for the rest to who knows the password. Images are pushed as `docker push` does it.
 */
import { createHash, createPrivateKey, randomBytes, sign, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { makeCa } from "@muster/ports/csr";
import { freePort, startChild, temporaryDirectory } from "./child.ts";

const PROGRAM = "/usr/bin/docker-registry";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";

export type TestRegistry = {
  /** `127.0.0.1:port`, the beginning of its images' names. */
  readonly address: string;
  readonly user: string;
  readonly password: string;
  /** Puts an image there; the digest of its manifest. */
  push(repository: string, tag: string): Promise<string>;
  stop(): Promise<void>;
};

const digestOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

export async function startRegistry(): Promise<TestRegistry> {
  const directory = await temporaryDirectory("registry");
  const [user, password] = ["alice", randomBytes(12).toString("hex")];
  const ca = await makeCa({ common_name: "tokens", not_after: Date.now() + 3_600_000 });
  const address = `127.0.0.1:${await freePort()}`;
  const x5c = [new X509Certificate(ca.certificate_pem).raw.toString("base64")];
  const key = createPrivateKey(ca.private_pem);

  /** Source: Docker's token authentication, "Token Authentication Implementation". */
  const token = (name: string, actions: readonly string[]) => {
    const now_s = Math.floor(Date.now() / 1_000);
    const claims = {
      iss: "tokens",
      sub: "",
      aud: "registry",
      exp: now_s + 300,
      nbf: now_s - 10,
      iat: now_s,
      jti: randomBytes(8).toString("hex"),
      access: [{ type: "repository", name, actions }],
    };
    const text = `${base64url({ typ: "JWT", alg: "ES256", x5c })}.${base64url(claims)}`;
    const signature = sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" });
    return `${text}.${signature.toString("base64url")}`;
  };
  const basic = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const tokens = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://tokens");
    const name = (url.searchParams.get("scope") ?? "").split(":")[1] ?? "";
    const known = request.headers.authorization === basic;
    if (request.headers.authorization !== undefined && !known) response.writeHead(401).end();
    else
      response.end(
        JSON.stringify({
          token: token(name, known ? ["pull", "push"] : name.startsWith("public/") ? ["pull"] : []),
        }),
      );
  });
  tokens.listen(0, "127.0.0.1");
  await once(tokens, "listening");
  const bound = tokens.address();
  if (bound === null || typeof bound === "string") throw new Error("no port");

  const roots = join(directory.path, "roots.pem");
  const config = join(directory.path, "config.yml");
  await writeFile(roots, ca.certificate_pem);
  await writeFile(
    config,
    `version: 0.1
log: { level: warn }
storage: { filesystem: { rootdirectory: "${join(directory.path, "data")}" } }
http: { addr: "${address}", secret: "${randomBytes(8).toString("hex")}" }
auth:
  token: { realm: "http://127.0.0.1:${bound.port}/token", service: registry, issuer: tokens, rootcertbundle: "${roots}" }
`,
  );
  const child = startChild(PROGRAM, ["serve", config]);
  await child.until(() =>
    fetch(`http://${address}/v2/`).then(
      ({ status }) => status === 401,
      () => false,
    ),
  );

  const put = async (url: string, body: Uint8Array<ArrayBuffer>, type: string, authorization: string) => {
    const answer = await fetch(url, {
      method: "PUT",
      body,
      headers: { authorization, "content-type": type },
    });
    if (answer.status !== 201) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  };
  return {
    address,
    user,
    password,
    async push(repository, tag) {
      const authorization = `Bearer ${token(repository, ["pull", "push"])}`;
      const base = `http://${address}/v2/${repository}`;
      const upload = async (text: string) => {
        const body = Buffer.from(text);
        const started = await fetch(`${base}/blobs/uploads/`, { method: "POST", headers: { authorization } });
        const to = new URL(started.headers.get("location") ?? "", base);
        to.searchParams.set("digest", digestOf(body));
        await put(to.href, body, "application/octet-stream", authorization);
        return { digest: digestOf(body), size: body.length };
      };
      const made = randomBytes(8).toString("hex");
      const [image, layer] = [await upload(`{"made":"${made}"}`), await upload(made)];
      const manifest = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: MANIFEST,
          config: { mediaType: "application/vnd.oci.image.config.v1+json", ...image },
          layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", ...layer }],
        }),
      );
      await put(`${base}/manifests/${tag}`, manifest, MANIFEST, authorization);
      return digestOf(manifest);
    },
    async stop() {
      await child.stop();
      tokens.closeAllConnections();
      tokens.close();
      await directory.release();
    },
  };
}
