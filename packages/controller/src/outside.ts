/** One request to somebody else's HTTP server: no redirects (a secret must not go where nobody sent it), a limit on time and on the answer. */
import { type IncomingMessage, request as plain } from "node:http";
import { request as secure } from "node:https";
import { FleetError } from "@muster/protocol/errors";

export type HttpRequest = {
  readonly method: "GET" | "POST" | "PUT";
  /** May be a secret: it stands in no error. */
  readonly url: string;
  /** How errors call it. */
  readonly what: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly ca?: string | undefined;
};

/** The cause of an error whose answer came with another status than 2xx. */
export class AnsweredStatus extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

const TIMEOUT_MS = 10_000;
const ANSWER_BYTES = 16 * 1024;
const SHOWN = 200;
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** Resolves with the answer's text when the status is 2xx. Errors: FAILED with the server's words, TIMEOUT, CONFIG for a secret that would go in clear. */
export async function ask(wanted: HttpRequest, signal: AbortSignal): Promise<string> {
  const { what } = wanted;
  let url: URL;
  try {
    url = new URL(wanted.url);
  } catch {
    // The cause would show the address, which may be a secret.
    throw new FleetError("CONFIG", `${what}: that is no address`);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw new FleetError("CONFIG", `${what}: the address must begin with https:// or http://`);
  // Node logs in by what stands in the address, too.
  const logs_in = wanted.headers?.authorization !== undefined || url.username !== "" || url.password !== "";
  if (url.protocol === "http:" && logs_in && !LOOPBACK.test(url.hostname))
    throw new FleetError("CONFIG", `${what}: a token or password goes over https only`);
  const send = url.protocol === "https:" ? secure : plain;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  return new Promise<string>((resolve, reject) => {
    const failed = (cause: Error & { code?: string }) => {
      if (signal.aborted) reject(new FleetError("CANCELLED", what));
      else if (limit.aborted)
        reject(new FleetError("TIMEOUT", `${what}: no answer within ${TIMEOUT_MS / 1_000} s`));
      else reject(new FleetError("FAILED", `${what}: ${cause.code ?? cause.message}`));
    };
    const outgoing = send(
      url,
      {
        method: wanted.method,
        headers: { "user-agent": "muster", ...wanted.headers },
        signal: limit,
        ...(wanted.ca === undefined ? {} : { ca: wanted.ca }),
      },
      (answer) => read(answer).then((text) => judge(answer.statusCode ?? 0, text), failed),
    );
    const judge = (status: number, text: string) => {
      if (status >= 200 && status < 300) resolve(text);
      else
        reject(
          new FleetError(
            "FAILED",
            `${what} answered ${status}: ${text.replaceAll(/\s+/g, " ").slice(0, SHOWN)}`,
            { cause: new AnsweredStatus(status) },
          ),
        );
    };
    outgoing.on("error", failed);
    outgoing.end(wanted.body);
  });
}

async function read(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    if (bytes < ANSWER_BYTES) parts.push(part);
    bytes += part.length;
    if (bytes >= ANSWER_BYTES) {
      answer.destroy();
      break;
    }
  }
  return Buffer.concat(parts).toString("utf8").slice(0, ANSWER_BYTES);
}

export type LogIn = {
  readonly token?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
};

/** The header by which one logs in; its secrets are references to Vault. None without any. */
export async function authorization(
  { token, user, password }: LogIn,
  secret: (text: string) => Promise<string>,
): Promise<Record<string, string>> {
  if (user === undefined || password === undefined)
    return bearer(token === undefined ? null : await secret(token));
  const pair = Buffer.from(`${user}:${await secret(password)}`).toString("base64");
  return { authorization: `Basic ${pair}` };
}

/** As a header; none without a token. */
export const bearer = (token: string | null): Record<string, string> =>
  token === null ? {} : { authorization: `Bearer ${token}` };
