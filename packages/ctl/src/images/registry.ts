/**
 * Asks a registry which image a tag stands for. Sources: OCI distribution specification 1.1 (pulling manifests), and Docker's token authentication.
 * The digest is that of the bytes that came, never only what the registry's header says.
 */
import { sha256 } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import type { Login } from "./credentials.ts";
import { referenceOf } from "./reference.ts";

/** An index first: one digest for every architecture of the fleet. */
const ACCEPT = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");
const LIMIT_MS = 15_000;
/** What registries take as a manifest at most. */
const MANIFEST_BYTES = 4 * 1024 * 1024;

export type RegistryDoor = {
  /** The log-in for a registry; null = ask as anybody. */
  login(registry: string): Promise<Login | null>;
};

/**
 * The digest of an image, `sha256:…`.
 * Errors: REGISTRY_UNREACHABLE; NOT_FOUND for no such image; REGISTRY_REFUSED with its words; ALTERED when header and bytes disagree.
 */
export async function digestOf(image: string, door: RegistryDoor, signal: AbortSignal): Promise<string> {
  const { base, login, repository, tag } = referenceOf(image);
  const url = `${base}/v2/${repository}/manifests/${tag}`;
  let answer = await get(url, { accept: ACCEPT }, signal);
  if (answer.status === 401) {
    const authorization = await authorize(
      answer.headers.get("www-authenticate") ?? "",
      repository,
      base,
      await door.login(login),
      signal,
    );
    answer = await get(url, { accept: ACCEPT, authorization }, signal);
  }
  const name = `${image} at ${new URL(base).host}`;
  if (answer.status === 404) throw new FleetError("NOT_FOUND", name);
  if (answer.status !== 200) throw refused(name, answer.status);
  const bytes = await bounded(answer, name);
  const digest = `sha256:${sha256(bytes)}`;
  const said = answer.headers.get("docker-content-digest");
  if (said !== null && said !== digest)
    throw new FleetError("ALTERED", `${name}: it says ${said}, and sent ${digest}`);
  return digest;
}

/** The header for the second try. Errors: REGISTRY_REFUSED where nobody is logged in, or the log-in is not taken. */
async function authorize(
  challenge: string,
  repository: string,
  base: string,
  login: Login | null,
  signal: AbortSignal,
): Promise<string> {
  const basic =
    login === null ? null : `Basic ${Buffer.from(`${login.user}:${login.password}`).toString("base64")}`;
  const registry = new URL(base).host;
  if (/^basic\b/i.test(challenge)) {
    if (basic === null)
      throw new FleetError("REGISTRY_REFUSED", `${registry} wants a log-in: docker login ${registry}`);
    return basic;
  }
  const field = (name: string) => new RegExp(`\\b${name}="([^"]*)"`, "i").exec(challenge)?.[1];
  const realm = field("realm");
  if (!/^bearer\b/i.test(challenge) || realm === undefined || !URL.canParse(realm))
    throw new FleetError("REGISTRY_REFUSED", `${registry} wants a log-in of a kind that is not known here`);
  const url = new URL(realm);
  // The password goes there: never in the clear, unless the registry itself is on this machine.
  if (url.protocol !== "https:" && !base.startsWith("http:"))
    throw new FleetError(
      "REGISTRY_REFUSED",
      `${registry} wants the log-in sent to ${url.origin}, which is not encrypted`,
    );
  const service = field("service");
  if (service !== undefined) url.searchParams.set("service", service);
  url.searchParams.set("scope", `repository:${repository}:pull`);
  const answer = await get(url.href, basic === null ? {} : { authorization: basic }, signal);
  const what = `the log-in for ${repository} at ${url.host}`;
  if (answer.status !== 200) throw refused(what, answer.status);
  const text = Buffer.from(await bounded(answer, what)).toString("utf8");
  const token = tokenIn(text);
  if (token === null) throw new FleetError("REGISTRY_REFUSED", `${what}: no token came`);
  return `Bearer ${token}`;
}

function tokenIn(text: string): string | null {
  try {
    const { token, access_token } = JSON.parse(text) as Record<string, unknown>;
    const found = token ?? access_token;
    return typeof found === "string" && /^[\x21-\x7e]+$/.test(found) ? found : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

async function get(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  try {
    // On the way to another host `fetch` leaves the authorization behind.
    return await fetch(url, { headers, signal: AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]) });
  } catch (cause) {
    if (signal.aborted) throw new FleetError("CANCELLED", "", { cause });
    throw new FleetError("REGISTRY_UNREACHABLE", `${new URL(url).host}: ${reason(cause)}`, { cause });
  }
}

async function bounded(answer: Response, what: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const part of answer.body ?? []) {
      size += part.length;
      if (size > MANIFEST_BYTES)
        throw new FleetError("TOO_LARGE", `${what}: more than ${MANIFEST_BYTES} bytes`);
      parts.push(part);
    }
  } catch (cause) {
    if (cause instanceof FleetError) throw cause;
    throw new FleetError("REGISTRY_UNREACHABLE", `${what}: ${reason(cause)}`, { cause });
  }
  return Buffer.concat(parts);
}

function refused(what: string, status: number): FleetError {
  const why =
    status === 401 || status === 403
      ? "the log-in is not taken, or may not read it"
      : status === 429
        ? "too many requests; a log-in gets more (docker login)"
        : `status ${status}`;
  return new FleetError("REGISTRY_REFUSED", `${what}: ${why}`);
}

function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}
